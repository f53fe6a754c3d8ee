/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "steps/services/etcd.h"
#include "steps/volume/volume_identity.h"

/* The data folder is empty before etcd's first start, and also if a cluster's data was lost. The
 * identity on the same volume tells the two apart. */

int etcd_look_at_data(const Boot *boot, Error *err)
{
        VolumeIdentity volume = {};
        int r = volume_identity_look(&volume, err);
        if (r < 0) {
                return r;
        }
        if (!volume.exists || !volume.identity.etcd_member) {
                return 0;
        }
        if (volume.etcd_member) {
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
        VolumeIdentity volume = {};
        int r = volume_identity_look(&volume, err);
        if (r < 0) {
                return r;
        }
        if (!volume.exists || !volume.etcd_member) {
                return error_set(err, ERROR_RETRY, ENOENT,
                                 "etcd is healthy, and its data or the identity is not on the "
                                 "volume: no %s",
                                 volume.exists ? MASTER_ETCD_DATA "/member" : MASTER_IDENTITY_FILE);
        }
        if (volume.identity.etcd_member) {
                return 0;
        }
        volume.identity.etcd_member = true;
        return volume_identity_write(&volume.identity, err);
}
