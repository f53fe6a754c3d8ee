/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/dockerd.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/string.h"

/* The flags that the units and render_docker_environment() give to dockerd, and the key of each in
 * daemon.json. Flag and key have the same name, except for lists, whose flag is the singular
 * (findConfigurationConflicts() in moby's daemon/config/config.go). */
static const struct {
        Dockerd dockerd;
        const char *flag, *key;
} flags[] = {
        { DOCKERD, "-H", "hosts" },
        { DOCKERD, "--containerd", "containerd" },
        { DOCKERD, "--bridge", "bridge" },
        { DOCKERD, "--bridge", "bip" }, /* for docker's own bridge; "mutually exclusive" */
        { DOCKERD, "--mtu", "mtu" },
        { DOCKERD, "--ip-masq", "ip-masq" },
        { DOCKERD, "--userland-proxy", "userland-proxy" },
        { DOCKERD, "--exec-opt", "exec-opts" },
        { DOCKERD_BOOTSTRAP, "--containerd-namespace", "containerd-namespace" },
        { DOCKERD_BOOTSTRAP, "--containerd-plugins-namespace", "containerd-plugins-namespace" },
};

bool dockerd_has_flag(Dockerd dockerd, const char *flag)
{
        FOREACH_ARRAY(row, flags, ELEMENTS(flags)) {
                if (row->dockerd == dockerd && streq(row->flag, flag)) {
                        return true;
                }
        }
        return false;
}

static int name_conflicts(Dockerd dockerd, const json_t *config, Error *err)
{
        char keys[256] = "", ours[256] = "";
        FOREACH_ARRAY(row, flags, ELEMENTS(flags)) {
                size_t n = strlen(keys), m = strlen(ours);
                if (row->dockerd == dockerd && json_object_get(config, row->key)) {
                        (void) snprintf(keys + n, sizeof(keys) - n, "%s\"%s\"", n ? ", " : "",
                                        row->key);
                        (void) snprintf(ours + m, sizeof(ours) - m, "%s%s", m ? ", " : "",
                                        row->flag);
                }
        }
        return keys[0] ? error_set(err, ERROR_CONFIG, EINVAL,
                                   "sets %s, but dockerd is started with %s and refuses to be told "
                                   "twice: remove that from the file",
                                   keys, ours)
                       : 0;
}

int dockerd_check_config(Dockerd dockerd, const char *text, char ret_root[DOCKERD_ROOT_MAX],
                         Error *err)
{
        json_error_t where = { .line = 0 };
        if (text[strspn(text, " \t\r\n")] == '\0') {
                return 0; /* whether an empty file is fine depends on dockerd's version */
        }
        json_auto_t *config = json_loads(text, 0, &where);
        if (!config) {
                return error_set(err, ERROR_CONFIG, EINVAL, "is no JSON: line %d, column %d: %s",
                                 where.line, where.column, where.text);
        }
        if (!json_is_object(config)) {
                return error_set(err, ERROR_CONFIG, EINVAL, "is no JSON object");
        }
        int r = name_conflicts(dockerd, config, err);
        const char *root = json_string_value(json_object_get(config, "data-root"));
        if (r >= 0 && root && strlen(root) < DOCKERD_ROOT_MAX) {
                (void) snprintf(ret_root, DOCKERD_ROOT_MAX, "%s", root);
        }
        return r;
}

/* Looks for the database's store (libkv's or its successor's), which the message or the stack trace
 * names. dockerd's other databases, e.g. that of its volumes, are files of the same kind and must
 * not match. */
bool dockerd_blames_networks(const char *line)
{
        return strstr(line, "store/boltdb.") ||
               (strstr(line, "network controller") && strstr(line, "store"));
}
