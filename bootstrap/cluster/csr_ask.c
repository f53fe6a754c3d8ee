/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/base64.h"
#include "cluster/csr.h"

/* The asker's half of cluster/csr.h. */

json_t *csr_new(const char *name, const Buffer *pem, const Buffer *proof)
{
        _cleanup_buffer_ Buffer text = {};
        if (base64_encode(pem->data, pem->size, &text) < 0) {
                return NULL;
        }
        /* The signer of Kubernetes before 1.27 demands all three usages:
         * https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/ */
        return json_pack("{s:s, s:s, s:{s:s, s:{s:s}}, s:{s:s, s:s, s:[s, s, s]}}", "apiVersion",
                         "certificates.k8s.io/v1", "kind", "CertificateSigningRequest", "metadata",
                         "name", name, "annotations", CSR_ANNOTATION_PROOF, proof->data, "spec",
                         "request", text.data, "signerName", CSR_SIGNER_KUBELET, "usages",
                         "digital signature", "key encipherment", "client auth");
}

const char *csr_proof(const json_t *object)
{
        const json_t *metadata = json_object_get(object, "metadata");
        const json_t *annotations = json_object_get(metadata, "annotations");
        return json_string_value(json_object_get(annotations, CSR_ANNOTATION_PROOF));
}

static int find_refusal(const json_t *status, Error *err)
{
        const json_t *condition;
        size_t i;
        json_array_foreach(json_object_get(status, "conditions"), i, condition) {
                const char *type = json_string_value(json_object_get(condition, "type"));
                const char *message = json_string_value(json_object_get(condition, "message"));
                const char *how = NULL;
                if (streq_ptr(type, "Denied")) {
                        how = "was denied by the master";
                } else if (streq_ptr(type, "Failed")) {
                        how = "failed";
                }
                if (how) {
                        return error_set(err, ERROR_RETRY, EACCES,
                                         "the certificate request %s: %.300s", how,
                                         isempty(message) ? "no reason is given" : message);
                }
        }
        return 0;
}

int csr_read_answer(const json_t *object, Buffer *ret, Error *err)
{
        const json_t *status = json_object_get(object, "status");
        const json_t *certificate = json_object_get(status, "certificate");
        const char *text = json_string_value(certificate);
        int r = find_refusal(status, err);
        if (r < 0 || isempty(text)) {
                return r;
        }
        r = base64_decode(text, json_string_length(certificate), ret);
        if (r == -ENOMEM) {
                return error_oom(err);
        }
        return r < 0 ? error_set(err, ERROR_RETRY, EBADMSG,
                                 "the API server's answer holds no certificate")
                     : 1;
}
