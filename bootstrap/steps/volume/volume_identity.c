/* SPDX-License-Identifier: Apache-2.0 */
#include "steps/volume/volume_identity.h"

#include <errno.h>
#include <sys/stat.h>

#include "base/file.h"
#include "host/mount.h"

/* Refuses to go on if the volume is not mounted: its mount point is then an empty folder, which
 * looks like a blank volume. */
static int check_mounted(Error *err)
{
        MountState state;
        int r = mount_look(MASTER_MOUNT_POINT, &state, err);
        if (r >= 0 && !state.mounted) {
                return error_set(err, ERROR_RETRY, ENOENT,
                                 "the master volume is not mounted at " MASTER_MOUNT_POINT);
        }
        return r;
}

/* Returns 1 if the path exists, else 0. A disk that cannot tell is an error, never "absent". */
static int exists(const char *path, Error *err)
{
        struct stat st;
        if (lstat(path, &st) == 0) {
                return 1;
        }
        return errno == ENOENT ? 0 : error_errno(err, errno, "stat %s", path);
}

int volume_identity_look(VolumeIdentity *ret, Error *err)
{
        int r = check_mounted(err);
        if (r < 0) {
                return r;
        }
        r = exists(MASTER_ETCD_DATA "/member", err);
        if (r < 0) {
                return r;
        }
        ret->etcd_member = r > 0;
        r = exists(MASTER_IDENTITY_FILE, err);
        if (r <= 0) {
                return r;
        }
        _cleanup_buffer_ Buffer text = {};
        r = file_read(MASTER_IDENTITY_FILE, LINEAGE_IDENTITY_BYTES_MAX, &text, err);
        if (r >= 0) {
                r = lineage_identity_parse(text.data, text.size, &ret->identity, err);
        }
        if (r < 0) {
                return error_prefix(err, MASTER_MOUNT_POINT);
        }
        ret->exists = true;
        return 0;
}

int volume_identity_write(const LineageIdentity *identity, Error *err)
{
        _cleanup_buffer_ Buffer text = {};
        int r = lineage_identity_format(identity, &text, err);
        return r < 0 ? r : file_write(MASTER_IDENTITY_FILE, text.data, text.size, 0644, err);
}
