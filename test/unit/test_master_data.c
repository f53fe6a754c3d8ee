/* SPDX-License-Identifier: Apache-2.0 */
/* What lies on the master volume beside etcd's own files, on a volume of the test's own. */
#include <errno.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "engine/machine.h"
#include "harness.h"
#include "steps/services/etcd.h"
#include "steps/volume/volume_identity.h"

#define TEXT(s) ((char[]) { s })
#define HASH    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static Boot boot;

static const LineageIdentity complete = {
        .cluster_name = "blue",
        .cluster_id = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        .created = "2024-01-31T12:00:00Z",
        .ca_sha256 = HASH,
        .complete = true,
};

static unsigned role(void *userdata)
{
        (void) userdata;
        return KIND_DOCKER_MASTER;
}

/* One row, as the engine runs it. */
static int run(StepFunction *probe, StepFunction *apply, Error *err)
{
        const Step step = { .name = "step",
                            .makes_true = "x",
                            .runs_on = KIND_ALL,
                            .probe = probe,
                            .apply = apply,
                            .deadline_s = 20 };
        const MachineOptions options = { .steps = &step,
                                         .n_steps = 1,
                                         .userdata = &boot,
                                         .kind = role,
                                         .all_kinds = KIND_ALL,
                                         .stop_fd = -1 };
        return machine_run(&options, NULL, err);
}

static void first_start_and_lost_data_differ(void)
{
        Error err = {};
        CHECK_OK(volume_identity_write(&complete, &err), err);
        CHECK_INT(etcd_look_at_data(&boot, &err), 0); /* a first start */
        CHECK_INT(etcd_mark_data(&err), -ENOENT);     /* of nothing */
        CHECK_INT(err.class, ERROR_RETRY);
        CHECK_OK(file_make_directory(MASTER_ETCD_DATA "/member", 0700, &err), err);
        CHECK_INT(etcd_look_at_data(&boot, &err), 0); /* never healthy yet */
        CHECK_OK(etcd_mark_data(&err), err);
        CHECK_INT(etcd_look_at_data(&boot, &err), 1);

        CHECK_INT(rmdir(MASTER_ETCD_DATA "/member"), 0);
        err = (Error) {};
        CHECK_INT(run(etcd_probe, etcd_apply, &err), -EUCLEAN);
        CHECK_INT(err.class, ERROR_UNSAFE);
        CHECK_CONTAINS(err.message, "etcd's data is gone");
        CHECK_CONTAINS(err.message, "vol-0123456789abcdef0");
        CHECK_CONTAINS(err.message, "snapshot");
        CHECK_CONTAINS(err.message, MASTER_IDENTITY_FILE);

        CHECK_OK(volume_identity_write(&complete, &err), err); /* as the message says */
        CHECK_INT(etcd_look_at_data(&boot, &err), 0);
}

static void audit_log_is_private(void)
{
        Error err = {};
        struct stat st = {};
        CHECK_OK(file_make_directory("/etc/kubernetes/static-pods/all", 0755, &err), err);
        CHECK_OK(file_make_directory("/etc/kubernetes/static-pods/master", 0755, &err), err);
        CHECK_OK(file_make_directory("/etc/kubernetes/manifests", 0755, &err), err);
        CHECK_OK(run(static_pods_probe, static_pods_apply, &err), err);
        CHECK_INT(stat(MASTER_AUDIT, &st), 0);
        CHECK_INT(st.st_mode & 07777, 0700);

        CHECK_INT(chmod(MASTER_AUDIT, 0755), 0); /* as an earlier kubelet made it */
        CHECK_OK(run(static_pods_probe, static_pods_apply, &err), err);
        CHECK_INT(stat(MASTER_AUDIT, &st), 0);
        CHECK_INT(st.st_mode & 07777, 0700);
}

static bool has_volume(void)
{
        return unshare(CLONE_NEWNS) == 0 &&
               mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
               mount("tmpfs", "/var/lib", "tmpfs", 0, NULL) == 0 &&
               mount("tmpfs", "/etc", "tmpfs", 0, NULL) == 0 &&
               file_make_directory(MASTER_MOUNT_POINT, 0755, ERROR_IGNORED) >= 0 &&
               mount("tmpfs", MASTER_MOUNT_POINT, "tmpfs", 0, NULL) == 0;
}

int main(void)
{
        static const TestCase cases[] = {
                { "a first start of etcd, and one whose data is lost",
                  first_start_and_lost_data_differ },
                { "the audit log's folder is root's alone", audit_log_is_private },
        };
        bool root = has_volume();
        boot.config = (StackConfig) {
                .role = ROLE_MASTER,
                .cluster_name = TEXT("blue"),
                .cluster_domain = TEXT("cluster.local"),
                .service_network = { 0x0a000000, 16 },
                .overlay_network = { 0x0af40000, 16 },
                .cloud_provider = TEXT("none"),
                .master_volume_id = TEXT("vol-0123456789abcdef0"),
        };
        boot.images = (Images) {
                .etcd = TEXT("etcd:1"),
                .flannel = TEXT("flannel:1"),
                .pause = TEXT("pause:1"),
                .apiserver = TEXT("api:1"),
                .controller_manager = TEXT("manager:1"),
                .scheduler = TEXT("scheduler:1"),
                .proxy = TEXT("proxy:1"),
                .coredns = TEXT(""),
        };
        test_cases_if(root, "a mount namespace needs root", cases, ELEMENTS(cases));
        return test_done();
}
