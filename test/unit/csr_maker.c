/* SPDX-License-Identifier: Apache-2.0 */
#include "csr_maker.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include "base/string.h"
#include "base/time.h"

static void subject_add(X509_REQ *request, const char *field, const char *text, int n, int type)
{
        if (text && X509_NAME_add_entry_by_txt(
                            X509_REQ_get_subject_name(request), field, type ? type : MBSTRING_ASC,
                            (const unsigned char *) text, n ? n : -1, -1, 0) != 1) {
                abort();
        }
}

static void names_add(X509_REQ *request, const char *names)
{
        if (names) {
                STACK_OF(X509_EXTENSION) *list = sk_X509_EXTENSION_new_null();
                X509_EXTENSION *extension =
                        X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, names);
                if (!extension || !sk_X509_EXTENSION_push(list, extension) ||
                    X509_REQ_add_extensions(request, list) != 1) {
                        abort();
                }
                sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
        }
}

/* The request in PEM, malloc'ed. */
static char *request_pem(const Wanted *wanted)
{
        EVP_PKEY *key = wanted->key ? wanted->key : EVP_EC_gen("P-256");
        EVP_PKEY *signer = wanted->other_key ? EVP_EC_gen("P-256") : key;
        X509_REQ *request = X509_REQ_new();
        BIO *bio = BIO_new(BIO_s_mem());
        char *data;
        subject_add(request, "O", wanted->organization, 0, wanted->string_type);
        subject_add(request, "O", wanted->second_organization, 0, 0);
        subject_add(request, "CN", wanted->common_name, wanted->common_name_bytes,
                    wanted->string_type);
        names_add(request, wanted->alternative_names);
        if (X509_REQ_set_pubkey(request, key) != 1 ||
            !X509_REQ_sign(request, signer, EVP_sha256()) ||
            PEM_write_bio_X509_REQ(bio, request) != 1 ||
            BIO_puts(bio, wanted->behind ? wanted->behind : "") < 0) {
                abort();
        }
        long n = BIO_get_mem_data(bio, &data);
        char *pem = strndup(data, (size_t) n);
        (void) BIO_free(bio);
        X509_REQ_free(request);
        if (signer != key) {
                EVP_PKEY_free(signer);
        }
        if (key != wanted->key) {
                EVP_PKEY_free(key);
        }
        return pem;
}

static char *to_base64(const void *data, size_t n)
{
        char *text = calloc(1, (n + 2) / 3 * 4 + 1);
        (void) EVP_EncodeBlock((unsigned char *) text, data, (int) n);
        return text;
}

json_t *csr_object(const char *name, const char *created, const Wanted *wanted)
{
        char *pem = request_pem(wanted), *request = to_base64(pem, strlen(pem));
        json_t *object = json_pack(
                "{s:{s:s,s:s,s:s},s:{s:s,s:s,s:s,s:[s,s,s],s:[s,s,s]},s:{}}", "metadata", "name",
                name, "creationTimestamp", created, "resourceVersion", "7", "spec", "request",
                request, "signerName", "kubernetes.io/kube-apiserver-client-kubelet", "username",
                "system:bootstrap:abcdef", "groups", "system:bootstrappers",
                "system:bootstrappers:kube-bootstrap", "system:authenticated", "usages",
                "digital signature", "key encipherment", "client auth", "status");
        free(pem);
        free(request);
        if (!object) {
                abort();
        }
        return object;
}

void csr_prove(json_t *object, const char *key, int age_s)
{
        char date[TIME_TEXT_MAX], proof[512];
        time_format_basic(time(NULL) - age_s, date);
        (void) snprintf(proof, sizeof(proof),
                        "{\"schema\":1,\"key\":\"%s\",\"date\":\"%s\",\"signature\":\"%064d\","
                        "\"token\":\"t\"}",
                        key, date, 0);
        if (json_object_set_new(json_object_get(object, "metadata"), "annotations",
                                json_pack("{s:s}", "kube-bootstrap/proof", proof)) < 0) {
                abort();
        }
}

void csr_set(json_t *object, const char *member, const char *json)
{
        if (json_object_set_new(json_object_get(object, "spec"), member,
                                json_loads(json, JSON_DECODE_ANY, NULL)) < 0) {
                abort();
        }
}
