/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/csr.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/base64.h"
#include "base/cleanup.h"
#include "base/digest.h"
#include "base/string.h"
#include "base/time.h"
#include "cluster/node_name.h"

#define REQUEST_BYTES_MAX ((size_t) 16 << 10)
#define USER_TOKEN        "system:bootstrap:"
#define GROUP_TOKENS      "system:bootstrappers"

DEFINE_CLEANUP(BIO *, BIO_free_all);
DEFINE_CLEANUP(X509_REQ *, X509_REQ_free);

static const char *const verdict_names[_CSR_VERDICT_MAX] = {
        [CSR_WAIT] = "wait", [CSR_PROVE] = "prove",   [CSR_APPROVE] = "approve",
        [CSR_DENY] = "deny", [CSR_DELETE] = "delete",
};

const char *csr_verdict_to_string(CsrVerdict verdict)
{
        return verdict >= 0 && verdict < _CSR_VERDICT_MAX ? verdict_names[verdict] : NULL;
}

/* Records a flaw. Only the first one is kept. */
static void flawed(Csr *csr, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void flawed(Csr *csr, const char *format, ...)
{
        va_list ap;
        if (!*csr->flaw) {
                va_start(ap, format);
                (void) vsnprintf(csr->flaw, sizeof(csr->flaw), format, ap);
                va_end(ap);
        }
}

/* Returns true if the subject has exactly one entry of this type, and its bytes. Only the string
 * types that Go writes are accepted: their bytes have one reading. */
static bool entry_text(X509_NAME *subject, int nid, const char **ret, size_t *ret_n)
{
        int i = X509_NAME_get_index_by_NID(subject, nid, -1);
        if (i < 0 || X509_NAME_get_index_by_NID(subject, nid, i) >= 0) {
                return false;
        }
        const ASN1_STRING *value = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, i));
        int type = ASN1_STRING_type(value);
        if (type != V_ASN1_UTF8STRING && type != V_ASN1_PRINTABLESTRING) {
                return false;
        }
        *ret = (const char *) ASN1_STRING_get0_data(value);
        *ret_n = (size_t) ASN1_STRING_length(value);
        return true;
}

static bool is_text(const char *text, size_t n, const char *expected)
{
        return n == strlen(expected) && memcmp(text, expected, n) == 0;
}

/* The subject must be O=system:nodes, CN=system:node:NAME, and nothing else. */
static void csr_read_subject(X509_REQ *request, Csr *csr)
{
        X509_NAME *subject = X509_REQ_get_subject_name(request);
        const char *text;
        size_t n;
        if (X509_NAME_entry_count(subject) != 2) {
                flawed(csr, "its subject is not one organization and one common name");
        } else if (!entry_text(subject, NID_organizationName, &text, &n) ||
                   !is_text(text, n, NODE_GROUP)) {
                flawed(csr, "its organization is not " NODE_GROUP);
        } else if (!entry_text(subject, NID_commonName, &text, &n) || n <= strlen(NODE_USER) ||
                   memcmp(text, NODE_USER, strlen(NODE_USER)) != 0 ||
                   !node_name_is_valid(text + strlen(NODE_USER), n - strlen(NODE_USER))) {
                flawed(csr, "its common name is not " NODE_USER "NAME");
        } else {
                (void) snprintf(csr->node_name, sizeof(csr->node_name), "%.*s",
                                (int) (n - strlen(NODE_USER)), text + strlen(NODE_USER));
        }
}

/* Checks the request: one request in PEM and nothing after it; signed with its own key; no
 * extensions, because those could hold further names. */
static void read_request(const Buffer *pem, Csr *csr)
{
        static const char end[] = "-----END CERTIFICATE REQUEST-----";
        _cleanup_(BIO_free_allp) BIO *bio = BIO_new_mem_buf(pem->data, (int) pem->size);
        _cleanup_(X509_REQ_freep) X509_REQ *request =
                bio ? PEM_read_bio_X509_REQ(bio, NULL, NULL, NULL) : NULL;
        const char *after = request ? memmem(pem->data, pem->size, end, strlen(end)) : NULL;
        if (!request || !after) {
                flawed(csr, "it holds no request that can be read");
        } else if (strspn(after + strlen(end), "\r\n ") != strlen(after + strlen(end)) ||
                   strlen(pem->data) != pem->size) {
                flawed(csr, "it holds more than a request");
        } else if (X509_REQ_verify(request, X509_REQ_get0_pubkey(request)) != 1) {
                flawed(csr, "it is not signed with its own key");
        } else if (X509_REQ_get_attr_count(request) > 0) {
                flawed(csr, "it asks for extensions or further names");
        } else {
                csr_read_subject(request, csr);
        }
        ERR_clear_error();
}

static int decode_request(const json_t *spec, Csr *csr, Error *err)
{
        _cleanup_buffer_ Buffer pem = { .max = REQUEST_BYTES_MAX };
        const json_t *request = json_object_get(spec, "request");
        const char *text = json_string_value(request);
        int r = text ? base64_decode(text, json_string_length(request), &pem) : -EBADMSG;
        if (r == -ENOMEM) {
                return error_oom(err);
        }
        if (r < 0 || pem.size == 0) {
                flawed(csr, "it holds no request, or one that is too large");
        } else {
                digest_sha256_hex(pem.data, pem.size, csr->sha256);
                read_request(&pem, csr);
        }
        return 0;
}

/* Checks that the usages are those of a kubelet's request. "key encipherment" is useful with RSA
 * keys only, and later kubelets leave it out. */
static void check_usages(const json_t *spec, Csr *csr)
{
        const json_t *usages = json_object_get(spec, "usages"), *usage;
        bool client = false, signs = false;
        size_t i;
        json_array_foreach(usages, i, usage) {
                const char *text = json_string_value(usage);
                client = client || streq_ptr(text, "client auth");
                signs = signs || streq_ptr(text, "digital signature");
                if (!streq_ptr(text, "client auth") && !streq_ptr(text, "digital signature") &&
                    !streq_ptr(text, "key encipherment")) {
                        flawed(csr, "it asks for other usages than those of a client");
                }
        }
        if (!client || !signs) {
                flawed(csr, "it does not ask for the usages of a client");
        }
}

static bool has_group(const json_t *spec, const char *name)
{
        const json_t *group;
        size_t i;
        json_array_foreach(json_object_get(spec, "groups"), i, group) {
                if (streq_ptr(json_string_value(group), name)) {
                        return true;
                }
        }
        return false;
}

/* Reads who asks. The API server fills in these fields; no client can. */
static void read_user(const json_t *spec, Csr *csr)
{
        if (string_starts_with(csr->user, NODE_USER) && has_group(spec, NODE_GROUP)) {
                csr->renewal = true;
                if (!streq(csr->user + strlen(NODE_USER), csr->node_name)) {
                        flawed(csr, "a Node may ask for its own certificate only");
                }
                return;
        }
        if (!string_starts_with(csr->user, USER_TOKEN) || !has_group(spec, GROUP_TOKENS) ||
            !has_group(spec, CSR_GROUP_NODE)) {
                flawed(csr, "neither a Node nor the holder of a join token asks");
        }
}

/* Returns for how many characters a name has only those of kubelet's names: "csr-" or "node-csr-"
 * and base64url. The API server accepts nearly any name. */
static size_t plain_length(const char *s)
{
        return strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_");
}

static bool is_object_name(const char *s)
{
        return plain_length(s) == strlen(s);
}

/* "2026-02-03T04:05:06Z" */
static int csr_read_time(const char *text, time_t *ret)
{
        struct timespec time;
        if (time_parse(text, &time) < 0) {
                return -EBADMSG;
        }
        *ret = time.tv_sec;
        return 0;
}

static int csr_copy_text(const json_t *object, const char *name, char *ret, size_t size)
{
        const char *text = json_string_value(json_object_get(object, name));
        if (!text || strlen(text) >= size) {
                return -EBADMSG;
        }
        memcpy(ret, text, strlen(text) + 1);
        return 0;
}

static bool is_denied(const json_t *status)
{
        const json_t *condition;
        size_t i;
        json_array_foreach(json_object_get(status, "conditions"), i, condition) {
                if (streq_ptr(json_string_value(json_object_get(condition, "type")), "Denied")) {
                        return true;
                }
        }
        return false;
}

int csr_read(const json_t *object, Csr *ret, Error *err)
{
        Csr csr = {};
        const json_t *metadata = json_object_get(object, "metadata");
        const json_t *spec = json_object_get(object, "spec");
        const json_t *status = json_object_get(object, "status");
        char created[24], signer[256] = "";
        const char *name = json_string_value(json_object_get(metadata, "name"));
        if (csr_copy_text(metadata, "creationTimestamp", created, sizeof(created)) < 0 ||
            csr_read_time(created, &csr.created) < 0 || isempty(name)) {
                *ret = (Csr) {}; /* no object of the API server */
                return 0;
        }
        if (strlen(name) >= sizeof(csr.name) || !is_object_name(name)) {
                flawed(&csr, "its name is not of the form that kubelet gives it");
        }
        (void) snprintf(csr.name, sizeof(csr.name), "%.*s", (int) plain_length(name), name);
        if (csr_copy_text(spec, "username", csr.user, sizeof(csr.user)) < 0) {
                flawed(&csr, "who asks is not known");
        }
        csr.of_kubelet = csr_copy_text(spec, "signerName", signer, sizeof(signer)) == 0 &&
                         streq(signer, CSR_SIGNER_KUBELET);
        csr.settled = json_array_size(json_object_get(status, "conditions")) > 0 ||
                      json_object_get(status, "certificate");
        csr.denied = is_denied(status);
        int r = csr.of_kubelet && !csr.settled ? decode_request(spec, &csr, err) : 0;
        if (r < 0) {
                return r;
        }
        check_usages(spec, &csr);
        read_user(spec, &csr);
        *ret = csr;
        return 0;
}

static CsrVerdict csr_say(CsrVerdict verdict, char *reason, size_t size, const char *format, ...)
        __attribute__((format(printf, 4, 5)));
static CsrVerdict csr_say(CsrVerdict verdict, char *reason, size_t size, const char *format, ...)
{
        va_list ap;
        va_start(ap, format);
        (void) vsnprintf(reason, size, format, ap);
        va_end(ap);
        return verdict;
}

static CsrVerdict judge_instance(const Csr *csr, const CsrFacts *facts, char *reason, size_t size)
{
        bool master = streq(facts->instance_role, "master");
        if (streq(facts->instance_state, "pending")) {
                return csr_say(CSR_WAIT, reason, size, "instance %s does not run yet",
                               facts->instance_id);
        }
        if (!streq(facts->instance_state, "running")) {
                return csr_say(CSR_DENY, reason, size, "instance %s is %s", facts->instance_id,
                               facts->instance_state);
        }
        if (!master && !streq(facts->instance_role, "node")) {
                return csr_say(CSR_DENY, reason, size, "instance %s is neither master nor node",
                               facts->instance_id);
        }
        if (!csr->renewal && master) {
                return csr_say(CSR_DENY, reason, size,
                               "instance %s is a master, which no join token stands for",
                               facts->instance_id);
        }
        return csr_say(csr->renewal ? CSR_APPROVE : CSR_PROVE, reason, size,
                       "instance %s runs and is a %s of this cluster", facts->instance_id,
                       facts->instance_role);
}

CsrVerdict csr_judge(const Csr *csr, const CsrFacts *facts, char *ret_reason, size_t size)
{
        bool late = facts->now - csr->created > CSR_PATIENCE_S;
        if (*csr->flaw) {
                return csr_say(CSR_DENY, ret_reason, size, "%s", csr->flaw);
        }
        if (isempty(facts->instance_id)) {
                return csr_say(late ? CSR_DENY : CSR_WAIT, ret_reason, size,
                               "EC2 knows no instance %.100s of this cluster", csr->node_name);
        }
        return judge_instance(csr, facts, ret_reason, size);
}
