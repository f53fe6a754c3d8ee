/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/certificate.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

/* The reading half of certificate.h. */

DEFINE_CLEANUP(BIO *, BIO_free_all);
DEFINE_CLEANUP(GENERAL_NAMES *, GENERAL_NAMES_free);

static int unreadable(Error *err, const char *what)
{
        ERR_clear_error();
        return error_set(err, ERROR_FATAL, EBADMSG, "%s", what);
}

/* Gives no passphrase, instead of prompting for one: a key that needs one is not ours. */
static int no_passphrase(char *buffer, int size, int writing, void *userdata)
{
        (void) buffer;
        (void) size;
        (void) writing;
        (void) userdata;
        return -1;
}

int certificate_from_pem(const void *pem, size_t n, X509 **ret, Error *err)
{
        _cleanup_(BIO_free_allp) BIO *bio = n <= INT32_MAX ? BIO_new_mem_buf(pem, (int) n) : NULL;
        X509 *x = bio ? PEM_read_bio_X509(bio, NULL, no_passphrase, NULL) : NULL;
        if (!x) {
                return unreadable(err, "no certificate in PEM");
        }
        *ret = x;
        return 0;
}

int certificate_key_from_pem(const void *pem, size_t n, EVP_PKEY **ret, Error *err)
{
        _cleanup_(BIO_free_allp) BIO *bio = n <= INT32_MAX ? BIO_new_mem_buf(pem, (int) n) : NULL;
        EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;
        if (!key) {
                return unreadable(err, "no private key in PEM");
        }
        *ret = key;
        return 0;
}

void certificate_info_done(CertificateInfo *info)
{
        string_list_done(&info->organizations);
        string_list_done(&info->names);
}

static int text_of(const ASN1_STRING *value, char **ret)
{
        unsigned char *utf8 = NULL;
        int n = ASN1_STRING_to_UTF8(&utf8, value);
        if (n < 0) {
                return -EBADMSG;
        }
        bool has_nul = memchr(utf8, '\0', (size_t) n);
        char *copy = has_nul ? NULL : strndup((const char *) utf8, (size_t) n);
        OPENSSL_free(utf8);
        if (!copy) {
                return has_nul ? -EBADMSG : -ENOMEM;
        }
        *ret = copy;
        return 0;
}

static int certificate_read_subject(const X509 *x, CertificateInfo *info)
{
        const X509_NAME *name = X509_get_subject_name(x);
        for (int i = 0; i < X509_NAME_entry_count(name); i++) {
                const X509_NAME_ENTRY *entry = X509_NAME_get_entry(name, i);
                int nid = OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry));
                _cleanup_free_ char *text = NULL;
                int r = text_of(X509_NAME_ENTRY_get_data(entry), &text);
                if (r >= 0 && nid == NID_organizationName) {
                        r = string_list_append(&info->organizations, text);
                }
                if (r < 0) {
                        return r;
                }
                if (nid == NID_commonName) {
                        (void) snprintf(info->common_name, sizeof(info->common_name), "%s", text);
                }
        }
        return 0;
}

static int certificate_append_name(const GENERAL_NAME *name, StringList *names)
{
        char text[300] = "";
        int type = 0;
        const ASN1_STRING *value = GENERAL_NAME_get0_value(name, &type);
        const unsigned char *bytes = ASN1_STRING_get0_data(value);
        int n = ASN1_STRING_length(value);
        if (type == GEN_DNS && n > 0 && n < 256 && !memchr(bytes, '\0', (size_t) n)) {
                (void) snprintf(text, sizeof(text), "DNS:%.*s", n, (const char *) bytes);
        } else if (type == GEN_IPADD && (n == 4 || n == 16)) {
                char address[INET6_ADDRSTRLEN];
                if (!inet_ntop(n == 4 ? AF_INET : AF_INET6, bytes, address, sizeof(address))) {
                        return -errno;
                }
                (void) snprintf(text, sizeof(text), "IP:%s", address);
        } else {
                return -EBADMSG;
        }
        return string_list_append(names, text);
}

static int certificate_read_names(const X509 *x, CertificateInfo *info)
{
        _cleanup_(GENERAL_NAMES_freep) GENERAL_NAMES *list =
                X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
        for (int i = 0; i < sk_GENERAL_NAME_num(list); i++) {
                const GENERAL_NAME *name = sk_GENERAL_NAME_value(list, i);
                if (name->type != GEN_DNS && name->type != GEN_IPADD) {
                        return -EBADMSG; /* none of ours has another kind */
                }
                int r = certificate_append_name(name, &info->names);
                if (r < 0) {
                        return r;
                }
        }
        return 0;
}

static int read_times(const X509 *x, CertificateInfo *info)
{
        struct tm before, after;
        if (!ASN1_TIME_to_tm(X509_get0_notBefore(x), &before) ||
            !ASN1_TIME_to_tm(X509_get0_notAfter(x), &after)) {
                return -EBADMSG;
        }
        info->not_before = timegm(&before);
        info->not_after = timegm(&after);
        return 0;
}

static void read_usage(X509 *x, CertificateInfo *info)
{
        if (X509_get_extension_flags(x) & EXFLAG_XKUSAGE) { /* else the next call answers "any" */
                uint32_t usage = X509_get_extended_key_usage(x);
                if (usage & XKU_SSL_CLIENT) {
                        info->usage |= CERTIFICATE_CLIENT;
                }
                if (usage & XKU_SSL_SERVER) {
                        info->usage |= CERTIFICATE_SERVER;
                }
                info->other_usage = usage & ~(uint32_t) (XKU_SSL_CLIENT | XKU_SSL_SERVER);
        }
        info->authority = X509_check_ca(x) == 1;
}

int certificate_inspect(X509 *certificate, CertificateInfo *ret, Error *err)
{
        _cleanup_certificate_info_ CertificateInfo info = {};
        int r = certificate_fingerprint(certificate, info.sha256, err);
        if (r < 0) {
                return r;
        }
        r = certificate_read_subject(certificate, &info);
        if (r >= 0) {
                r = certificate_read_names(certificate, &info);
        }
        if (r >= 0) {
                r = read_times(certificate, &info);
        }
        if (r == -ENOMEM) {
                return error_oom(err);
        }
        if (r < 0) {
                return unreadable(err, "a certificate has a name or time of an unknown form");
        }
        read_usage(certificate, &info);
        *ret = info;
        info = (CertificateInfo) {};
        return 0;
}

bool certificate_is_signed_by(X509 *certificate, X509 *authority)
{
        bool signed_by = X509_check_issued(authority, certificate) == X509_V_OK &&
                         X509_verify(certificate, X509_get0_pubkey(authority)) == 1;
        ERR_clear_error();
        return signed_by;
}

bool certificate_has_key(const X509 *certificate, const EVP_PKEY *key)
{
        bool has = X509_check_private_key(certificate, key) == 1;
        ERR_clear_error();
        return has;
}
