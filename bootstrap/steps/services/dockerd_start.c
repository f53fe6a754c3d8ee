/* SPDX-License-Identifier: Apache-2.0 */
#include "steps/services/dockerd_start.h"

#include <errno.h>

#include "base/file.h"
#include "host/journal.h"
#include "steps/services/service.h"

static const struct {
        const char *unit, *config, *root;
} dockers[] = {
        [DOCKERD] = { UNIT_DOCKER, "/etc/docker/daemon.json", "/var/lib/docker" },
        [DOCKERD_BOOTSTRAP] = { UNIT_DOCKER_BOOTSTRAP, "/etc/docker-bootstrap/daemon.json",
                                "/var/lib/docker-bootstrap" },
};

/* Checks daemon.json, which an administrator may have edited: dockerd itself would refuse a wrong
 * file again every second. */
static int check_config(Dockerd which, char ret_root[DOCKERD_ROOT_MAX], Error *err)
{
        _cleanup_buffer_ Buffer text = {};
        const char *path = dockers[which].config;
        (void) snprintf(ret_root, DOCKERD_ROOT_MAX, "%s", dockers[which].root);
        int r = file_read(path, 1 << 20, &text, err);
        if (r < 0) {
                return r == -ENOENT ? 0 : r;
        }
        r = dockerd_check_config(which, text.data, ret_root, err);
        return r < 0 ? error_prefix(err, "%s", path) : 0;
}

typedef struct Blame {
        char run[40];
        bool networks;
} Blame;

static bool look_for_blame(const char *run, const char *line, void *userdata)
{
        Blame *blame = userdata;
        if (blame->run[0] && !streq(blame->run, run)) {
                return false; /* of the last run only */
        }
        (void) snprintf(blame->run, sizeof(blame->run), "%s", run);
        blame->networks = dockerd_blames_networks(line);
        return !blame->networks;
}

/* Sets dockerd's database of networks aside if dockerd died because of it, as after a power cut.
 * Returns 1, or 0 if that is not the reason. Nothing in the database is worth keeping: the bridge
 * is ours, and etcd and flanneld are on the host's network. Done once for each life of the daemon,
 * because a second time would not help. */
static int drop_networks(Boot *boot, Dockerd which, const char *root, StepContext *context,
                         Error *err)
{
        bool *set_aside = &boot->memory.networks_set_aside[which];
        Blame blame = {};
        int r = journal_read_back(dockers[which].unit, look_for_blame, &blame, err);
        if (r < 0 || !blame.networks || *set_aside) {
                return r;
        }
        *set_aside = true;
        _cleanup_free_ char *path = string_format("%s/network/files/local-kv.db", root);
        if (!path) {
                return error_oom(err);
        }
        r = file_set_aside(path, err);
        if (r > 0) {
                step_warn(context,
                          "%s did not start over %s: renamed to .damaged, and started without it",
                          dockers[which].unit, path);
        }
        return r;
}

int dockerd_start(Boot *boot, Dockerd which, DockerdStart *start, StepContext *context, Error *err)
{
        char root[DOCKERD_ROOT_MAX];
        int r = check_config(which, root, err);
        if (r < 0) {
                return r;
        }
        r = start(dockers[which].unit, context, err);
        if (r != -EIO || drop_networks(boot, which, root, context, ERROR_IGNORED) <= 0) {
                return r;
        }
        return start(dockers[which].unit, context, err);
}
