/* SPDX-License-Identifier: Apache-2.0 */
#include "steps/kubelet/manifests.h"

#include <arpa/inet.h>
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "cluster/render.h"

DEFINE_CLEANUP(DIR *, closedir);

void manifests_done(Manifests *manifests)
{
        FOREACH_ARRAY(m, manifests->items, manifests->n) {
                free(TAKE(m->name));
                buffer_done(&m->text);
        }
        manifests->n = 0;
}

/* The variables that a template may use. */
typedef struct Facts {
        char master_private_ip[INET_ADDRSTRLEN], cluster_dns[INET_ADDRSTRLEN];
        char service_network[NETWORK_TEXT_MAX], overlay_network[NETWORK_TEXT_MAX];
        char cloud_provider_flag[48];
        RenderVariable variables[32];
        size_t n;
} Facts;

static int learn_images(const Images *images, Facts *facts, Error *err)
{
        FOREACH_ARRAY(key, image_keys, image_n_keys) {
                const char *image = images_get(images, key);
                if (facts->n >= ELEMENTS(facts->variables)) {
                        return error_set(err, ERROR_FATAL, ENOSPC, "more names than room for them");
                }
                facts->variables[facts->n++] =
                        (RenderVariable) { key->name, *image ? image : NULL };
        }
        return 0;
}

static int manifests_learn(const Boot *boot, Facts *ret, Error *err)
{
        const StackConfig *c = &boot->config;
        *ret = (Facts) {};
        render_cluster_dns(c->service_network, ret->cluster_dns);
        network_format(c->service_network, ret->service_network);
        network_format(c->overlay_network, ret->overlay_network);
        (void) inet_ntop(AF_INET, &c->master_private_ip, ret->master_private_ip,
                         sizeof(ret->master_private_ip)); /* has room */
        if (!streq(c->cloud_provider, "none")) {
                (void) snprintf(ret->cloud_provider_flag, sizeof(ret->cloud_provider_flag),
                                "- --cloud-provider=%s", c->cloud_provider);
        }
        const bool docker = boot->images.runtime == RUNTIME_DOCKER;
        const RenderVariable variables[] = {
                /* before a line of a manifest that is for one runtime alone */
                { "ON_DOCKER", docker ? "" : "# " },
                { "ON_CONTAINERD", docker ? "# " : "" },
                { "CLUSTER_NAME", c->cluster_name },
                { "CLUSTER_DOMAIN", c->cluster_domain },
                { "CLUSTER_DNS", ret->cluster_dns },
                { "SERVICE_NETWORK", ret->service_network },
                { "OVERLAY_NETWORK", ret->overlay_network },
                { "MASTER_PRIVATE_IP", ret->master_private_ip },
                { "CLOUD_PROVIDER_FLAG", ret->cloud_provider_flag },
                { "NODE_NAME", boot->node_name },
                { "NODE_IP", boot->identity.local_ip },
                { "GENERATION", boot->generation },
        };
        static_assert(sizeof(variables) <= sizeof(ret->variables), "variables fit");
        memcpy(ret->variables, variables, sizeof(variables));
        ret->n = ELEMENTS(variables);
        return learn_images(&boot->images, ret, err);
}

static int is_manifest(const struct dirent *entry)
{
        return entry->d_name[0] != '.' && string_ends_with(entry->d_name, ".yaml");
}

static bool is_there(const Manifests *manifests, const char *name)
{
        FOREACH_ARRAY(m, manifests->items, manifests->n) {
                if (streq(m->name, name)) {
                        return true;
                }
        }
        return false;
}

/* Fills in one template. Returns 1, or 0 if the manifest is left out. */
static int render_one(const Facts *facts, StepContext *context, const char *path,
                      ManifestsLack lack, Manifest *ret, Error *err)
{
        _cleanup_buffer_ Buffer template = {}, text = {};
        Error why = {};
        int r = file_read(path, MANIFEST_BYTES_MAX, &template, err);
        if (r < 0) {
                return r;
        }
        r = render_template(template.data, template.size, facts->variables, facts->n, &text, &why);
        if (r == -ENODATA && lack == MANIFESTS_LACK_IMAGES) {
                step_warn(context, "%s is left out: %s", path, why.message);
                return 0;
        }
        if (r < 0) {
                (void) error_prefix(&why, "%s", path);
                *err = why;
                return r;
        }
        ret->text = text;
        text = (Buffer) {};
        return 1;
}

static int render_into(const Facts *facts, StepContext *context, const char *folder,
                       const char *name, ManifestsLack lack, Manifests *ret, Error *err)
{
        _cleanup_free_ char *path = string_format("%s/%s", folder, name);
        _cleanup_free_ char *copy = strdup(name);
        if (!path || !copy) {
                return error_oom(err);
        }
        if (ret->n >= MANIFESTS_MAX || is_there(ret, name)) {
                return error_set(err, ERROR_CONFIG, EEXIST, "%s: %s", path,
                                 ret->n >= MANIFESTS_MAX ? "more manifests than are taken"
                                                         : "another folder has that name too");
        }
        Manifest *manifest = &ret->items[ret->n];
        *manifest = (Manifest) {};
        int r = render_one(facts, context, path, lack, manifest, err);
        if (r > 0) {
                manifest->name = TAKE(copy);
                ret->n++;
        }
        return r < 0 ? r : 0;
}

int manifests_render(const Boot *boot, StepContext *context, const char *folder, ManifestsLack lack,
                     Manifests *ret, Error *err)
{
        Facts facts;
        int r = manifests_learn(boot, &facts, err);
        if (r < 0) {
                return r;
        }
        struct dirent **entries = NULL;
        int n = scandir(folder, &entries, is_manifest, alphasort);
        if (n < 0) {
                return error_set(err, errno == ENOMEM ? ERROR_RETRY : ERROR_CONFIG, errno,
                                 "%s: %s: the AMI is incomplete", folder, strerror(errno));
        }
        for (int i = 0; i < n; i++) {
                if (r >= 0) {
                        r = render_into(&facts, context, folder, entries[i]->d_name, lack, ret,
                                        err);
                }
                free(entries[i]);
        }
        free(entries);
        return r < 0 ? r : 0;
}

/* Called for each file of the folder that is not one of the manifests. Subfolders are skipped:
 * kubelet does not read them. */
typedef int Stranger(const char *path, void *userdata, Error *err);

static int visit_strangers(const Manifests *manifests, const char *folder, Stranger *visit,
                           void *userdata, Error *err)
{
        _cleanup_(closedirp) DIR *dir = opendir(folder);
        if (!dir) {
                return error_errno(err, errno, "open %s", folder);
        }
        for (;;) {
                errno = 0;
                const struct dirent *entry = readdir(dir);
                if (!entry) {
                        return errno ? error_errno(err, errno, "read %s", folder) : 0;
                }
                if (entry->d_name[0] == '.' || entry->d_type == DT_DIR ||
                    is_there(manifests, entry->d_name)) {
                        continue;
                }
                _cleanup_free_ char *path = string_format("%s/%s", folder, entry->d_name);
                int r = path ? visit(path, userdata, err) : error_oom(err);
                if (r < 0) {
                        return r;
                }
        }
}

static int count_stranger(const char *path, void *userdata, Error *err)
{
        (void) path;
        (void) err;
        ++*(size_t *) userdata;
        return 0;
}

static int remove_stranger(const char *path, void *userdata, Error *err)
{
        (void) userdata;
        return file_remove(path, err);
}

int manifests_are_installed(const Manifests *manifests, const char *folder,
                            char ret_how[FILE_DIFFERENCE_MAX], Error *err)
{
        if (access(folder, F_OK) < 0) {
                (void) snprintf(ret_how, FILE_DIFFERENCE_MAX, "%s is missing", folder);
                return 0;
        }
        FOREACH_ARRAY(m, manifests->items, manifests->n) {
                _cleanup_free_ char *path = string_format("%s/%s", folder, m->name);
                int r = path ? file_difference(path, m->text.data, m->text.size, 0644, ret_how, err)
                             : error_oom(err);
                if (r != 0) {
                        return r < 0 ? r : 0;
                }
        }
        size_t strangers = 0;
        int r = visit_strangers(manifests, folder, count_stranger, &strangers, err);
        (void) snprintf(ret_how, FILE_DIFFERENCE_MAX, "%s has %zu files that are not ours", folder,
                        strangers);
        return r < 0 ? r : strangers == 0;
}

int manifests_install(const Manifests *manifests, const char *folder, Error *err)
{
        int r = file_make_directory(folder, 0755, err);
        if (r < 0) {
                return r;
        }
        r = visit_strangers(manifests, folder, remove_stranger, NULL, err);
        if (r < 0) {
                return r;
        }
        FOREACH_ARRAY(m, manifests->items, manifests->n) {
                _cleanup_free_ char *path = string_format("%s/%s", folder, m->name);
                r = path ? file_write_if_changed(path, m->text.data, m->text.size, 0644, err)
                         : error_oom(err);
                if (r < 0) {
                        return r;
                }
        }
        return 0;
}
