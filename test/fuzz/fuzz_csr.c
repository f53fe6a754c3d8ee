/* SPDX-License-Identifier: Apache-2.0 */
/* What comes of strangers on the way into the cluster: a certificate request, as the API server's
 * object and as the bytes within, and the document that a node finds its token in. Whatever is let
 * in has the one form; a document that is accepted is written and read back the same. */
#include <openssl/evp.h>
#include <stdint.h>
#include <stdlib.h>

#include "cluster/csr.h"
#include "cluster/join.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_csr(const json_t *object)
{
        Csr csr;
        Error err = {};
        if (csr_read(object, &csr, &err) < 0 || !csr.of_kubelet || csr.settled) {
                return;
        }
        char reason[CSR_REASON_MAX];
        const CsrFacts facts = { .now = csr.created,
                                 .instance_id = "i-1",
                                 .instance_state = "running",
                                 .instance_role = "node" };
        bool approved = csr_judge(&csr, &facts, reason, sizeof(reason)) ==
                        (csr.renewal ? CSR_APPROVE : CSR_PROVE);
        size_t n = strspn(csr.node_name, "abcdefghijklmnopqrstuvwxyz0123456789-.");
        if (approved != !*csr.flaw || (approved && (n == 0 || csr.node_name[n]))) {
                abort();
        }
}

/* The bytes as the request of an object that is fine but for them. */
static void check_request(const uint8_t *data, size_t size)
{
        char text[4 * 8192 / 3 + 8];
        if (size > 8192) {
                return;
        }
        int n = EVP_EncodeBlock((unsigned char *) text, data, (int) size);
        json_auto_t *object =
                json_pack("{s:{s:s,s:s},s:{s:s#,s:s,s:s,s:[s,s],s:[s,s]}}", "metadata", "name",
                          "csr-1", "creationTimestamp", "2026-02-03T04:05:06Z", "spec", "request",
                          text, n, "signerName", CSR_SIGNER_KUBELET, "username",
                          "system:bootstrap:abcdef", "groups", "system:bootstrappers",
                          CSR_GROUP_NODE, "usages", "digital signature", "client auth");
        check_csr(object);
}

static void check_document(const uint8_t *data, size_t size)
{
        JoinToken token = {}, again = {};
        Error err = {};
        if (join_document_parse(data, size, &token, &err) < 0) {
                return;
        }
        _cleanup_secret_ Secret text = SECRET_INIT;
        if (join_document_format(&token, &text, &err) < 0 ||
            join_document_parse(text.data, text.size, &again, &err) < 0 ||
            memcmp(&token, &again, sizeof(token)) != 0) {
                abort();
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        json_auto_t *object = json_loadb((const char *) data, size, 0, NULL);
        check_csr(object);
        check_request(data, size);
        check_document(data, size);
        return 0;
}
