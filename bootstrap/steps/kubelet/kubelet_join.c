/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <glob.h>
#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "steps/api.h"
#include "steps/kubelet/join.h"
#include "steps/services/service.h"

/* kubelet-join: waits for kubelet's first certificate of this boot, and restarts kubelet with it.
 *
 * A kubelet that began without a certificate looks for one every ten seconds (UpdateTransport() in
 * https://github.com/kubernetes/kubernetes/blob/v1.20.2/pkg/kubelet/certificate/transport.go), and
 * retries what failed before with growing pauses: its CSINode, without which it is not Ready, after
 * 19 s and then 2 min (initializeCSINode() in pkg/volume/csi/csi_plugin.go). A kubelet that starts
 * with its certificate registers at once.
 *
 * kubelet registers its Node when it starts, and never again (registerWithAPIServer() in
 * pkg/kubelet/kubelet_node_status.go). If somebody deleted the Node, a restart of kubelet registers
 * it again. */

/* Longer than kubelet takes to register: it tries every 7 s at least. */
#define REGISTERS_S 60

/* kubelet names the files after the time when it got them */
#define KUBELET_CERTIFICATES KUBELET_CERTS "/kubelet-client-[0-9]*.pem"

/* Returns 1 if kubelet was started after it had the first of its certificates, else 0. kubelet
 * renews that certificate and loads the new ones without a restart. */
static int began_with_certificate(const struct timespec *since, Error *err)
{
        glob_t found = {};
        int r = glob(KUBELET_CERTIFICATES, 0, NULL, &found); /* sorted */
        if (r == GLOB_NOMATCH) {
                r = 1; /* kubelet got its certificate in another way */
        } else if (r != 0) {
                r = error_set(err, ERROR_RETRY, EIO, "cannot read " KUBELET_CERTS);
        } else {
                r = service_is_older_than(since, found.gl_pathv[0], err);
                if (r >= 0) {
                        r = r == 0;
                }
        }
        globfree(&found);
        return r;
}

/* Returns 1 if kubelet's Node exists or may still be registered, 0 if it was deleted. */
static int is_registered(const Boot *boot, const struct timespec *since, StepContext *context,
                         Error *err)
{
        if (time(NULL) - since->tv_sec < REGISTERS_S) {
                return 1;
        }
        _cleanup_kube_api_ KubeApi *api = NULL;
        json_auto_t *node = NULL;
        int r = api_open(boot, &api, err);
        if (r >= 0) {
                r = api_get_node(boot, api, context, &node, err);
        }
        if (r < 0 && err->class == ERROR_DENIED) {
                err->class = ERROR_RETRY; /* a new cluster makes its roles a little later */
        }
        return r;
}

int kubelet_join_probe(void *userdata, StepContext *context, Error *err)
{
        struct timespec since;
        int r = join_has_certificate(err);
        if (r == 0) {
                step_waiting_for(context, "the master to let kubelet join, by a certificate");
        }
        if (r <= 0) {
                return r;
        }
        r = service_is_active(UNIT_KUBELET, context, &since, err);
        if (r <= 0) {
                return r;
        }
        r = began_with_certificate(&since, err);
        if (r <= 0) {
                return r;
        }
        return is_registered(userdata, &since, context, err);
}

/* Waits for the certificate while kubelet's token may lead to one. A retry of this step looks at
 * kubelet-config again, which fetches another token: this one may have expired while the master was
 * down. */
static int await_certificate(const Boot *boot, StepContext *context, Error *err)
{
        _cleanup_close_ int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
        if (fd < 0 || inotify_add_watch(fd, KUBELET_CERTS, IN_CREATE | IN_MOVED_TO) < 0) {
                return error_errno(err, errno, "watch " KUBELET_CERTS);
        }
        for (;;) {
                time_t left_s;
                int r = join_has_certificate(err);
                if (r != 0) {
                        return r;
                }
                r = join_local_left(boot, &left_s, err);
                if (r <= 0) {
                        return r < 0 ? r
                                     : error_set(err, ERROR_RETRY, ETIMEDOUT,
                                                 "kubelet got no certificate with the join token "
                                                 "in " JOIN_FILE ", whose time is over");
                }
                Wait wait = wait_part(step_wait(context), (uint64_t) left_s * 1000);
                r = wait_fd(&wait, fd, POLLIN, err);
                if (r == 0) {
                        r = wait_check(step_wait(context), err);
                }
                if (r < 0) {
                        return r;
                }
                char events[4096];
                while (read(fd, events, sizeof(events)) > 0) {}
        }
}

/* Warns that kubelet is restarted to register its Node again, if that is the reason. */
static int explain(const Boot *boot, StepContext *context, Error *err)
{
        struct timespec since;
        int r = service_is_active(UNIT_KUBELET, context, &since, err);
        if (r <= 0) {
                return r;
        }
        r = began_with_certificate(&since, err);
        if (r <= 0) {
                return r;
        }
        r = is_registered(boot, &since, context, err);
        if (r == 0) {
                step_warn(context,
                          "Node %s was deleted; restarting kubelet so that it registers again",
                          boot->node_name);
        }
        return r;
}

int kubelet_join_apply(void *userdata, StepContext *context, Error *err)
{
        int r = await_certificate(userdata, context, err);
        if (r < 0) {
                return r;
        }
        r = explain(userdata, context, err);
        if (r < 0) {
                return r;
        }
        return service_restart(UNIT_KUBELET, context, err);
}
