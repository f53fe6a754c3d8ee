/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"
#include "cluster/render.h"
#include "steps/services/etcd.h"
#include "steps/services/flannel.h"
#include "steps/settings.h"

/* flannel-config: the overlay's configuration in etcd, and who may use it. */

/* etcd knows users by certificate name over gRPC, and by password over the gateway. A node's
 * certificate is flanneld's and gives access to the overlay's keys only; the API server's
 * certificate gives access to the API server's keys only. */
static const struct {
        const char *role, *key, *range_end, *permission;
        const char *user, *password_file;
} etcd_access[] = {
        { "root", NULL, NULL, NULL, "root", SECRETS_DIR "/etcd-root-password" },
        { "overlay", OVERLAY_PREFIX "/", OVERLAY_PREFIX "0", "READWRITE", "flanneld", NULL },
        { "overlay-reader", OVERLAY_PREFIX "/", OVERLAY_PREFIX "0", "READ", OVERLAY_READER,
          SECRETS_DIR "/etcd-overlay-password" },
        { "kube-apiserver", "/registry/", "/registry0", "READWRITE", "kube-apiserver", NULL },
};

int flannel_config_probe(void *userdata, StepContext *context, Error *err)
{
        Boot *boot = userdata;
        _cleanup_etcd_session_ EtcdSession session = {};
        int r = etcd_open(boot, "root", SECRETS_DIR "/etcd-root-password", &session, err);
        if (r < 0) {
                return r;
        }
        r = etcd_auth_is_enabled(&session.client, step_wait(context), err);
        if (r == 0) {
                step_not_yet(context, "etcd's authentication is off");
        }
        if (r <= 0) {
                return r;
        }
        _cleanup_buffer_ Buffer wanted = {}, found = {};
        r = render_flannel_config(boot->config.overlay_network, boot->config.overlay_backend,
                                  &wanted, err);
        if (r < 0) {
                return r;
        }
        r = etcd_get(&session.client, OVERLAY_CONFIG, step_wait(context), &found, err);
        if (r == 0) {
                step_not_yet(context, "etcd has no " OVERLAY_CONFIG);
        }
        if (r <= 0) {
                return r;
        }
        r = settings_check_overlay(&boot->config, found.data, err);
        if (r == 0) {
                step_not_yet(context, MASTER_IDENTITY_FILE " does not have the overlay's settings");
        }
        if (r <= 0) {
                return r;
        }
        if (!streq(found.data, wanted.data)) {
                step_not_yet(context, "etcd has %s, expected %s", found.data, wanted.data);
                return 0;
        }
        return 1;
}

/* Makes roles and users, then switches authentication on. Works from any point of an earlier,
 * interrupted run, because authentication is switched on last. */
static int grant_access(EtcdClient *client, StepContext *context, Error *err)
{
        int r = etcd_auth_is_enabled(client, step_wait(context), err);
        if (r != 0) {
                return r < 0 ? r : 0;
        }
        FOREACH_ARRAY(a, etcd_access, ELEMENTS(etcd_access)) {
                r = etcd_role_ensure(client, a->role, a->key, a->range_end, a->permission,
                                     step_wait(context), err);
                if (r < 0) {
                        return r;
                }
                _cleanup_secret_ Secret password = SECRET_INIT;
                if (a->password_file) {
                        r = file_read(a->password_file, 1024, &password, err);
                        if (r < 0) {
                                return r;
                        }
                        string_strip_end(password.data);
                }
                r = etcd_user_ensure(client, a->user, password.data, a->role, step_wait(context),
                                     err);
                if (r < 0) {
                        return r;
                }
        }
        return etcd_auth_enable(client, step_wait(context), err);
}

int flannel_config_apply(void *userdata, StepContext *context, Error *err)
{
        Boot *boot = userdata;
        _cleanup_etcd_session_ EtcdSession session = {};
        int r = etcd_open(boot, "root", SECRETS_DIR "/etcd-root-password", &session, err);
        if (r < 0) {
                return r;
        }
        r = grant_access(&session.client, context, err);
        if (r < 0) {
                return r;
        }
        _cleanup_buffer_ Buffer wanted = {};
        r = render_flannel_config(boot->config.overlay_network, boot->config.overlay_backend,
                                  &wanted, err);
        if (r < 0) {
                return r;
        }
        r = etcd_put(&session.client, OVERLAY_CONFIG, wanted.data, step_wait(context), err);
        return r < 0 ? r : settings_record_overlay(&boot->config, wanted.data, err);
}
