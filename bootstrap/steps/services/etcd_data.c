/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "steps/secrets/secrets_internal.h"
#include "steps/services/etcd.h"

/* An empty data folder is what a first start finds, and what is left of a cluster that was lost.
 * The identity on the same volume tells the two apart. */

int etcd_look_at_data(const Boot *boot, Error *err)
{
        _cleanup_secrets_scene_ SecretsScene scene = {};
        int r = secrets_look_at_volume(&scene, err);
        if (r < 0) {
                return r;
        }
        if (!scene.scene.identity || !scene.identity.etcd_member) {
                return 0;
        }
        if (scene.scene.etcd_member) {
                return 1;
        }
        return error_set(
                err, ERROR_UNSAFE, EUCLEAN,
                "etcd's data is gone: %s says that etcd has run on volume %s, and there is "
                "no %s/member. Nothing was started. Restore the volume from a snapshot, or "
                "put the folder back; or, to begin with an empty cluster under the same "
                "keys, take \"etcd_member\" out of %s. Then run kube-bootstrap again",
                MASTER_IDENTITY_FILE, boot->config.master_volume_id, MASTER_ETCD_DATA,
                MASTER_IDENTITY_FILE);
}

int etcd_mark_data(Error *err)
{
        _cleanup_secrets_scene_ SecretsScene scene = {};
        int r = secrets_look_at_volume(&scene, err);
        if (r < 0) {
                return r;
        }
        if (!scene.scene.identity || !scene.scene.etcd_member) {
                return error_set(err, ERROR_RETRY, ENOENT,
                                 "etcd is healthy, and its data or the identity is not on the "
                                 "volume: no %s",
                                 scene.scene.identity ? MASTER_ETCD_DATA "/member"
                                                      : MASTER_IDENTITY_FILE);
        }
        if (scene.identity.etcd_member) {
                return 0;
        }
        scene.identity.etcd_member = true;
        return secrets_write_identity(&scene.identity, err);
}
