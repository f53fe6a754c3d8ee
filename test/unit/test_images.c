/* SPDX-License-Identifier: Apache-2.0 */
#include "config/images.h"

#include "base/file.h"
#include "base/string.h"
#include "config/stack_config.h"
#include "harness.h"

#define NODE "FLANNEL_IMAGE=flannel:1\nPAUSE_IMAGE=pause:1\nPROXY_IMAGE=proxy:1\n"
#define MASTER                                                                                \
        NODE "ETCD_IMAGE=etcd:1\nAPISERVER_IMAGE=api:1\nCONTROLLER_MANAGER_IMAGE=manager:1\n" \
             "SCHEDULER_IMAGE=scheduler:1\n"

static int load(const char *text, Role role, Images *ret, Error *err)
{
        static char path[256];
        (void) snprintf(path, sizeof(path), "%s/images", test_folder());
        CHECK_OK(file_write(path, text, strlen(text), 0644, err), *err);
        return images_load(path, role, ret, err);
}

static void each_role_needs_its_own(void)
{
        const struct {
                const char *text;
                Role role;
                const char *missing; /* NULL: none */
        } cases[] = {
                { MASTER, ROLE_MASTER, NULL },
                { MASTER, ROLE_NODE, NULL },
                { NODE, ROLE_NODE, NULL },
                { NODE, ROLE_MASTER,
                  "a master: ETCD_IMAGE, APISERVER_IMAGE, CONTROLLER_MANAGER_IMAGE, "
                  "SCHEDULER_IMAGE: " },
                { MASTER "PROXY_IMAGE=\n", ROLE_NODE, "a node: PROXY_IMAGE: " },
        };
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                _cleanup_images_ Images images = {};
                Error err = {};
                int r = load(c->text, c->role, &images, &err);
                CHECK_INT(r < 0, c->missing != NULL);
                if (c->missing) {
                        CHECK_INT(err.class, ERROR_CONFIG);
                        CHECK_CONTAINS(err.message, c->missing);
                }
        }
}

static void what_is_not_there_is_empty(void)
{
        _cleanup_images_ Images images = {};
        Error err = {};
        CHECK_OK(load(MASTER "OTHER_IMAGE=x\n", ROLE_MASTER, &images, &err), err);
        CHECK_STR(images.coredns, "");
        CHECK_STR(images.apiserver, "api:1");
        FOREACH_ARRAY(key, image_keys, image_n_keys) {
                CHECK(streq(images_get(&images, key), "") == (key->required_by == 0));
        }
}

static void names_the_runtime(void)
{
        static const struct {
                const char *text;
                ContainerRuntime runtime; /* negative: refused */
        } cases[] = {
                { NODE, RUNTIME_DOCKER },
                { NODE "CONTAINER_RUNTIME=docker\n", RUNTIME_DOCKER },
                { NODE "CONTAINER_RUNTIME=containerd\n", RUNTIME_CONTAINERD },
                { NODE "CONTAINER_RUNTIME=cri-o\n", _RUNTIME_INVALID },
                { NODE "CONTAINER_RUNTIME=\n", _RUNTIME_INVALID },
        };
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                _cleanup_images_ Images images = {};
                Error err = {};
                int r = load(c->text, ROLE_NODE, &images, &err);
                CHECK_INT(r >= 0, c->runtime >= 0);
                if (c->runtime >= 0) {
                        CHECK_INT(images.runtime, c->runtime);
                } else {
                        CHECK_INT(err.class, ERROR_CONFIG);
                        CHECK_CONTAINS(err.message, "expected docker or containerd");
                }
        }
}

static void sample_is_complete(void)
{
        static const char *const lists[_RUNTIME_MAX] = { "conf/images.docker", "conf/images" };
        FOREACH_ARRAY(list, lists, ELEMENTS(lists)) {
                _cleanup_images_ Images images = {};
                Error err = {};
                CHECK_OK(images_load(*list, ROLE_MASTER, &images, &err), err);
                CHECK_INT(images.runtime, list - lists);
                FOREACH_ARRAY(key, image_keys, image_n_keys) {
                        if (isempty(images_get(&images, key))) {
                                test_fail(__FILE__, __LINE__, "%s lacks %s", *list, key->name);
                        }
                }
        }
}

int main(void)
{
        test_case("images: a role needs those that it runs", each_role_needs_its_own);
        test_case("images: one that is not listed is empty", what_is_not_there_is_empty);
        test_case("images: the list names the container runtime", names_the_runtime);
        test_case("images: the lists of conf/ have them all", sample_is_complete);
        return test_done();
}
