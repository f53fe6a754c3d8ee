/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <openssl/sha.h>
#include <unistd.h>

#include "base/digest.h"
#include "host/process.h"
#include "steps/api.h"
#include "steps/kubelet/join.h"
#include "steps/kubelet/manifests.h"

/* addons: the manifests that a cluster is given. kubectl applies them.
 * A ConfigMap notes the digest of each file that was applied last, so that a probe compares all of
 * them with one request. The ConfigMap does not show that somebody has deleted an object since:
 * `run --from addons` brings it back. */

#define TEMPLATES "/etc/kubernetes/addons"
#define MANIFESTS RUNTIME_FOLDER "/addons"

#define NOTE_NAME  "kube-bootstrap-addons"
#define NOTES_PATH "/api/v1/namespaces/kube-system/configmaps"
#define NOTE_PATH  NOTES_PATH "/" NOTE_NAME

/* Those of every cluster, and those of this container runtime, which may have none. */
static int addons_render(const Boot *boot, StepContext *context, Manifests *ret, Error *err)
{
        _cleanup_free_ char *folder =
                string_format(TEMPLATES "/%s", container_runtime_to_string(boot->images.runtime));
        if (!folder) {
                return error_oom(err);
        }
        int r = manifests_render(boot, context, TEMPLATES, MANIFESTS_LACK_IMAGES, ret, err);
        if (r < 0 || (access(folder, F_OK) < 0 && errno == ENOENT)) {
                return r;
        }
        return manifests_render(boot, context, folder, MANIFESTS_LACK_IMAGES, ret, err);
}

/* Makes an object that maps each file's name to its digest. */
static int make_digests(const Manifests *manifests, json_t **ret, Error *err)
{
        json_auto_t *digests = json_object();
        FOREACH_ARRAY(m, manifests->items, manifests->n) {
                char hex[DIGEST_HEX_MAX];
                digest_sha256_hex(m->text.data, m->text.size, hex);
                if (json_object_set_new(digests, m->name, json_string(hex)) < 0) {
                        return error_oom(err);
                }
        }
        if (!digests) {
                return error_oom(err);
        }
        *ret = TAKE(digests);
        return 0;
}

/* Returns 1 if the cluster was last given exactly these manifests, else 0. */
static int are_noted(KubeApi *api, const Manifests *manifests, StepContext *context, Error *err)
{
        json_auto_t *wanted = NULL, *note = NULL;
        int r = make_digests(manifests, &wanted, err);
        if (r >= 0) {
                r = kube_api_get(api, NOTE_PATH, step_wait(context), &note, err);
        }
        if (r <= 0) {
                return r;
        }
        const json_t *data = json_object_get(note, "data");
        return data ? json_equal(data, wanted) : json_object_size(wanted) == 0;
}

static int note(KubeApi *api, const Manifests *manifests, StepContext *context, Error *err)
{
        json_auto_t *digests = NULL;
        int r = make_digests(manifests, &digests, err);
        if (r < 0) {
                return r;
        }
        json_auto_t *body = json_pack("{s:s, s:s, s:{s:s, s:s}, s:O}", "apiVersion", "v1", "kind",
                                      "ConfigMap", "metadata", "name", NOTE_NAME, "namespace",
                                      "kube-system", "data", digests);
        if (!body) {
                return error_oom(err);
        }
        return api_write(api, NOTES_PATH, NOTE_NAME, body, step_wait(context), err);
}

int addons_probe(void *userdata, StepContext *context, Error *err)
{
        Boot *boot = userdata;
        _cleanup_manifests_ Manifests manifests = {};
        _cleanup_kube_api_ KubeApi *api = NULL;
        int r = addons_render(boot, context, &manifests, err);
        if (r >= 0) {
                r = api_open(boot, &api, err);
        }
        return r < 0 ? r : are_noted(api, &manifests, context, err);
}

/* Runs kubectl apply. kubectl's cache of what the API server knows would be in a home folder, and
 * there is none. */
static int kubectl_apply(StepContext *context, Error *err)
{
        const char *const argv[] = { "/usr/bin/kubectl",
                                     "--kubeconfig=" SECRETS_DIR "/kube-bootstrap.kubeconfig",
                                     "--cache-dir=" RUNTIME_FOLDER "/kubectl",
                                     "--request-timeout=30s",
                                     "apply",
                                     "--filename=" MANIFESTS,
                                     NULL };
        _cleanup_process_result_ ProcessResult result = {};
        step_waiting_for(context, "kubectl apply");
        int r = process_run_checked(&(ProcessOptions) { .argv = argv }, step_wait(context), &result,
                                    err);
        if (r < 0 && err->class == ERROR_FATAL) {
                err->class = ERROR_RETRY; /* the exit status does not tell if a retry helps */
        }
        return r;
}

int addons_apply(void *userdata, StepContext *context, Error *err)
{
        Boot *boot = userdata;
        _cleanup_manifests_ Manifests manifests = {};
        _cleanup_kube_api_ KubeApi *api = NULL;
        int r = addons_render(boot, context, &manifests, err);
        if (r >= 0) {
                r = api_open(boot, &api, err);
        }
        if (r >= 0) {
                r = manifests_install(&manifests, MANIFESTS, err);
        }
        if (r >= 0 && manifests.n > 0) { /* for kubectl, nothing to apply is an error */
                r = kubectl_apply(context, err);
        }
        return r < 0 ? r : note(api, &manifests, context, err);
}
