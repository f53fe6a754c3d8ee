/* SPDX-License-Identifier: Apache-2.0 */
#include "config/images.h"

#include <errno.h>
#include <stdlib.h>

#include "base/string.h"
#include "config/envfile.h"
#include "config/stack_config.h"

#define FIELD(name) offsetof(Images, name)

const ImageKey image_keys[] = {
        { "ETCD_IMAGE", ROLE_MASTER, FIELD(etcd) },
        { "FLANNEL_IMAGE", ROLE_ALL, FIELD(flannel) },
        { "PAUSE_IMAGE", ROLE_ALL, FIELD(pause) },
        { "APISERVER_IMAGE", ROLE_MASTER, FIELD(apiserver) },
        { "CONTROLLER_MANAGER_IMAGE", ROLE_MASTER, FIELD(controller_manager) },
        { "SCHEDULER_IMAGE", ROLE_MASTER, FIELD(scheduler) },
        { "PROXY_IMAGE", ROLE_ALL, FIELD(proxy) },
        { "COREDNS_IMAGE", 0, FIELD(coredns) },
};

const size_t image_n_keys = ELEMENTS(image_keys);

static int find_runtime(const char *path, const EnvFile *file, ContainerRuntime *ret, Error *err)
{
        const EnvEntry *entry = envfile_get(file, "CONTAINER_RUNTIME");
        ContainerRuntime runtime =
                entry ? container_runtime_from_string(entry->value) : RUNTIME_DOCKER;
        if (runtime >= 0) {
                *ret = runtime;
        }
        return runtime >= 0 ? 0
                            : error_set(err, ERROR_CONFIG, EINVAL,
                                        "%s:%u: CONTAINER_RUNTIME is \"%.64s\", expected docker or "
                                        "containerd",
                                        path, entry->line, entry->value);
}

static char **image_field(Images *images, const ImageKey *key)
{
        return (char **) ((char *) images + key->offset);
}

const char *images_get(const Images *images, const ImageKey *key)
{
        return *(char *const *) ((const char *) images + key->offset);
}

int images_load(const char *path, unsigned role, Images *ret, Error *err)
{
        _cleanup_envfile_ EnvFile file = {};
        int r = envfile_load(path, &file, err);
        if (r < 0) {
                return error_prefix(err, "the images list of this AMI");
        }
        _cleanup_images_ Images images = {};
        _cleanup_buffer_ Buffer missing = {};
        r = find_runtime(path, &file, &images.runtime, err);
        if (r < 0) {
                return r;
        }
        FOREACH_ARRAY(key, image_keys, image_n_keys) {
                const EnvEntry *entry = envfile_get(&file, key->name);
                char *copy = strdup(entry ? entry->value : "");
                *image_field(&images, key) = copy;
                if (!copy || (isempty(copy) && (key->required_by & role) &&
                              buffer_append_format(&missing, "%s%s", missing.size ? ", " : "",
                                                   key->name) < 0)) {
                        return error_oom(err);
                }
        }
        if (missing.size > 0) {
                return error_set(err, ERROR_CONFIG, EINVAL,
                                 "%s: missing, for a %s: %s: the AMI is "
                                 "incomplete",
                                 path, role_to_string(role), missing.data);
        }
        *ret = images;
        images = (Images) {};
        return 0;
}

void images_done(Images *images)
{
        FOREACH_ARRAY(key, image_keys, image_n_keys) {
                free(TAKE(*image_field(images, key)));
        }
}
