/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/pki.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/evp.h>

#include "base/base64.h"
#include "base/network.h"
#include "base/random.h"
#include "cluster/certificate.h"
#include "cluster/document.h"
#include "cluster/kubeconfig.h"

#define MASTER (1U << ARTIFACTS_MASTER)
#define NODE   (1U << ARTIFACTS_NODE)
#define ADMIN  (1U << ARTIFACTS_ADMIN)
#define CLIENT CERTIFICATE_CLIENT
#define SERVER CERTIFICATE_SERVER

/* clang-format off */
const PkiArtifact pki_artifacts[] = {
        /* name, kind, signer, common name, organization, usage, names, { folders with docker, with
         * containerd } */
        { "ca",             PKI_AUTHORITY, NULL, "kubernetes",     NULL, 0, 0,
          { MASTER | NODE | ADMIN, MASTER | NODE | ADMIN } },
        { "etcd-ca",        PKI_AUTHORITY, NULL, "etcd-ca",        NULL, 0, 0,
          { MASTER | NODE, MASTER } },
        { "front-proxy-ca", PKI_AUTHORITY, NULL, "front-proxy-ca", NULL, 0, 0,
          { MASTER, MASTER } },

        { "apiserver", PKI_LEAF, "ca", "kube-apiserver", NULL, SERVER, PKI_NAMES_API,
          { MASTER, MASTER } },
        { "apiserver-kubelet-client", PKI_LEAF, "ca", "kube-apiserver-kubelet-client", NULL,
          CLIENT, 0, { MASTER, MASTER } },
        { "front-proxy-client", PKI_LEAF, "front-proxy-ca", "front-proxy-client", NULL,
          CLIENT, 0, { MASTER, MASTER } },

        { "etcd-server", PKI_LEAF, "etcd-ca", NULL, NULL, CLIENT | SERVER, PKI_NAMES_ETCD,
          { MASTER, MASTER } },
        { "apiserver-etcd-client", PKI_LEAF, "etcd-ca", "kube-apiserver", NULL, CLIENT, 0,
          { MASTER, MASTER } },
        { "flanneld", PKI_LEAF, "etcd-ca", "flanneld", NULL, CLIENT, 0, { MASTER | NODE, 0 } },
        /* etcd's gateway accepts no certificate with a common name; a password tells who asks */
        { "etcd-gateway", PKI_LEAF, "etcd-ca", NULL, "etcd-gateway", CLIENT, 0,
          { MASTER | NODE, MASTER } },

        { "kube-controller-manager.kubeconfig", PKI_KUBECONFIG, "ca",
          "system:kube-controller-manager", NULL, CLIENT, 0, { MASTER, MASTER } },
        { "kube-scheduler.kubeconfig", PKI_KUBECONFIG, "ca", "system:kube-scheduler", NULL,
          CLIENT, 0, { MASTER, MASTER } },
        { "kube-proxy.kubeconfig", PKI_KUBECONFIG, "ca", "system:kube-proxy", NULL,
          CLIENT, 0, { MASTER | NODE, 0 } },
        { "kube-bootstrap.kubeconfig", PKI_KUBECONFIG, "ca", "kube-bootstrap", "system:masters",
          CLIENT, 0, { MASTER, MASTER } },
        { "kubeconfig", PKI_KUBECONFIG, "ca", "kubernetes-admin", "system:masters",
          CLIENT, 0, { ADMIN, ADMIN } },

        /* signs service accounts' tokens */
        { "sa", PKI_KEY_PAIR, NULL, NULL, NULL, 0, 0, { MASTER, MASTER } },
        { "etcd-root-password", PKI_PASSWORD, NULL, NULL, NULL, 0, 0, { MASTER, 0 } },
        { "etcd-overlay-password", PKI_PASSWORD, NULL, NULL, NULL, 0, 0, { MASTER | NODE, 0 } },
        { "encryption-config.yaml", PKI_ENCRYPTION, NULL, NULL, NULL, 0, 0, { MASTER, MASTER } },
};
/* clang-format on */
const size_t pki_n_artifacts = ELEMENTS(pki_artifacts);

void pki_files_done(PkiFiles *files)
{
        FOREACH_ARRAY(file, files->files, files->n) {
                buffer_done(&file->content);
        }
        files->n = 0;
}

void pki_service_address(Network services, char ret[INET_ADDRSTRLEN])
{
        network_format_nth(services, 1, ret);
}

static int pki_append_name(StringList *list, const char *kind, const char *value, Error *err)
{
        _cleanup_free_ char *text = string_format("%s:%s", kind, value);
        return !text || string_list_append(list, text) < 0 ? error_oom(err) : 0;
}

typedef struct Name {
        const char *kind;
        const char *value; /* "": left out */
} Name;

static int append_names(StringList *list, const Name *names, size_t n, Error *err)
{
        FOREACH_ARRAY(name, names, n) {
                int r = *name->value ? pki_append_name(list, name->kind, name->value, err) : 0;
                if (r < 0) {
                        return r;
                }
        }
        return 0;
}

static int api_names(const PkiFacts *facts, StringList *ret, Error *err)
{
        char service_ip[INET_ADDRSTRLEN];
        pki_service_address(facts->service_network, service_ip);
        _cleanup_free_ char *full =
                string_format("kubernetes.default.svc.%s", facts->cluster_domain);
        if (!full) {
                return error_oom(err);
        }
        const Name names[] = {
                { "IP", facts->public_ip },
                { "IP", facts->private_ip },
                { "IP", service_ip },
                { "IP", "127.0.0.1" },
                { "IP", "::1" },
                { "DNS", "localhost" },
                { "DNS", "kubernetes" },
                { "DNS", "kubernetes.default" },
                { "DNS", "kubernetes.default.svc" },
                { "DNS", full },
                { "DNS", facts->api_dns_name },
        };
        return append_names(ret, names, ELEMENTS(names), err);
}

int pki_names(PkiNames names, const PkiFacts *facts, StringList *ret, Error *err)
{
        const Name etcd[] = {
                { "IP", facts->private_ip },
                { "IP", "127.0.0.1" },
                { "IP", "::1" },
                { "DNS", "localhost" },
        };
        switch (names) {
        case PKI_NAMES_API:
                return api_names(facts, ret, err);
        case PKI_NAMES_ETCD:
                return append_names(ret, etcd, ELEMENTS(etcd), err);
        default:
                return 0;
        }
}

/* An authority, kept to sign the rest of the table. */
typedef struct Authority {
        const char *name;
        X509 *certificate;
        EVP_PKEY *key;
        Buffer pem;
} Authority;

#define AUTHORITIES_MAX 3

typedef struct Maker {
        const PkiFacts *facts;
        PkiFiles *files;
        Authority authorities[AUTHORITIES_MAX];
        size_t n_authorities;
} Maker;

static void maker_done(Maker *maker)
{
        FOREACH_ARRAY(authority, maker->authorities, maker->n_authorities) {
                X509_free(authority->certificate);
                EVP_PKEY_free(authority->key);
                buffer_done(&authority->pem);
        }
}

static const Authority *find_authority(const Maker *maker, const char *name)
{
        FOREACH_ARRAY(authority, maker->authorities, maker->n_authorities) {
                if (name && streq(authority->name, name)) {
                        return authority;
                }
        }
        return NULL;
}

/* Adds one file in one folder; content is copied. */
static int add_file(Maker *maker, ArtifactsFolder folder, const char *name, const char *suffix,
                    mode_t mode, const Buffer *content, Error *err)
{
        PkiFiles *files = maker->files;
        if (files->n >= ELEMENTS(files->files)) {
                return error_set(err, ERROR_FATAL, ENOSPC, "more than %d files", PKI_FILES_MAX);
        }
        PkiFile *file = &files->files[files->n++];
        *file = (PkiFile) { .folder = folder, .mode = mode, .content = SECRET_INIT };
        (void) snprintf(file->name, sizeof(file->name), "%s%s", name, suffix);
        return buffer_append(&file->content, content->data, content->size) < 0 ? error_oom(err) : 0;
}

static int add_files(Maker *maker, unsigned folders, const char *name, const char *suffix,
                     mode_t mode, const Buffer *content, Error *err)
{
        for (ArtifactsFolder i = 0; i < _ARTIFACTS_FOLDER_MAX; i++) {
                if (folders & 1U << i) {
                        int r = add_file(maker, i, name, suffix, mode, content, err);
                        if (r < 0) {
                                return r;
                        }
                }
        }
        return 0;
}

static unsigned folders_of(const Maker *maker, const PkiArtifact *row)
{
        return row->folders[maker->facts->runtime];
}

/* Makes a new key and the certificate that a row asks for, and appends their PEM texts. */
static int issue(Maker *maker, const PkiArtifact *row, X509 **ret_certificate, EVP_PKEY **ret_key,
                 Buffer *certificate_pem, Secret *key_pem, Error *err)
{
        const Authority *signer = find_authority(maker, row->signer);
        _cleanup_string_list_ StringList names = {};
        _cleanup_key_ EVP_PKEY *key = NULL;
        _cleanup_x509_ X509 *certificate = NULL;
        if (row->signer && !signer) { /* else the certificate would sign itself */
                return error_set(err, ERROR_FATAL, ENOENT, "there is no authority %s", row->signer);
        }
        int r = pki_names(row->names, maker->facts, &names, err);
        if (r >= 0) {
                r = certificate_key_new(&key, err);
        }
        if (r < 0) {
                return r;
        }
        CertificateRequest request = {
                .common_name = row->common_name,
                .organization = row->organization,
                .authority = row->kind == PKI_AUTHORITY,
                .usage = row->usage,
                .names = &names,
                .now = maker->facts->now,
                .days = row->kind == PKI_AUTHORITY ? PKI_AUTHORITY_DAYS : PKI_LEAF_DAYS,
        };
        if (signer) {
                r = certificate_issue(&request, key, signer->certificate, signer->key, &certificate,
                                      err);
        } else {
                r = certificate_issue(&request, key, NULL, NULL, &certificate, err);
        }
        if (r >= 0) {
                r = certificate_to_pem(certificate, certificate_pem, err);
        }
        if (r >= 0) {
                r = certificate_key_to_pem(key, key_pem, err);
        }
        if (r < 0) {
                return r;
        }
        *ret_certificate = TAKE(certificate);
        *ret_key = TAKE(key);
        return 0;
}

static int make_authority(Maker *maker, const PkiArtifact *row, Error *err)
{
        _cleanup_secret_ Secret key_pem = SECRET_INIT;
        if (maker->n_authorities >= AUTHORITIES_MAX) {
                return error_set(err, ERROR_FATAL, ENOSPC, "too many authorities");
        }
        Authority *authority = &maker->authorities[maker->n_authorities];
        int r = issue(maker, row, &authority->certificate, &authority->key, &authority->pem,
                      &key_pem, err);
        maker->n_authorities++; /* maker_done() frees it, also after a failure */
        if (r < 0) {
                return r;
        }
        authority->name = row->name;
        r = add_files(maker, folders_of(maker, row), row->name, ".crt", 0644, &authority->pem, err);
        return r < 0 ? r : add_files(maker, MASTER, row->name, ".key", 0600, &key_pem, err);
}

static int make_leaf(Maker *maker, const PkiArtifact *row, Error *err)
{
        _cleanup_x509_ X509 *certificate = NULL;
        _cleanup_key_ EVP_PKEY *key = NULL;
        _cleanup_buffer_ Buffer certificate_pem = {};
        _cleanup_secret_ Secret key_pem = SECRET_INIT;
        int r = issue(maker, row, &certificate, &key, &certificate_pem, &key_pem, err);
        if (r >= 0) {
                r = add_files(maker, folders_of(maker, row), row->name, ".crt", 0644,
                              &certificate_pem, err);
        }
        return r < 0 ? r
                     : add_files(maker, folders_of(maker, row), row->name, ".key", 0600, &key_pem,
                                 err);
}

static int make_key_pair(Maker *maker, const PkiArtifact *row, Error *err)
{
        _cleanup_key_ EVP_PKEY *key = NULL;
        _cleanup_buffer_ Buffer public_pem = {};
        _cleanup_secret_ Secret key_pem = SECRET_INIT;
        int r = certificate_key_new(&key, err);
        if (r >= 0) {
                r = certificate_public_key_to_pem(key, &public_pem, err);
        }
        if (r >= 0) {
                r = certificate_key_to_pem(key, &key_pem, err);
        }
        if (r >= 0) {
                r = add_files(maker, folders_of(maker, row), row->name, ".pub", 0644, &public_pem,
                              err);
        }
        return r < 0 ? r
                     : add_files(maker, folders_of(maker, row), row->name, ".key", 0600, &key_pem,
                                 err);
}

/* Returns the API server's address for a file in this folder. */
static const char *server_host(const PkiFacts *facts, ArtifactsFolder folder)
{
        switch (folder) {
        case ARTIFACTS_MASTER:
                return "127.0.0.1";
        case ARTIFACTS_NODE:
                return facts->private_ip;
        default:
                return facts->public_ip;
        }
}

static int make_kubeconfig(Maker *maker, const PkiArtifact *row, Error *err)
{
        _cleanup_x509_ X509 *certificate = NULL;
        _cleanup_key_ EVP_PKEY *key = NULL;
        _cleanup_buffer_ Buffer certificate_pem = {};
        _cleanup_secret_ Secret key_pem = SECRET_INIT;
        int r = issue(maker, row, &certificate, &key, &certificate_pem, &key_pem, err);
        for (ArtifactsFolder i = 0; r >= 0 && i < _ARTIFACTS_FOLDER_MAX; i++) {
                if (!(folders_of(maker, row) & 1U << i)) {
                        continue;
                }
                char server[64];
                (void) snprintf(server, sizeof(server), KUBECONFIG_SERVER,
                                server_host(maker->facts, i));
                Kubeconfig config = {
                        .cluster = maker->facts->cluster_name,
                        .server = server,
                        .user = row->common_name,
                        .authority_pem = &find_authority(maker, row->signer)->pem,
                        .certificate_pem = &certificate_pem,
                        .key_pem = &key_pem,
                };
                _cleanup_secret_ Secret text = SECRET_INIT;
                r = kubeconfig_format(&config, &text, err);
                if (r >= 0) {
                        r = add_file(maker, i, row->name, "", 0600, &text, err);
                }
        }
        return r;
}

static int make_password(Maker *maker, const PkiArtifact *row, Error *err)
{
        _cleanup_secret_ Secret text = SECRET_INIT;
        int r = secret_random_hex(32, &text, err);
        return r < 0 ? r
                     : add_files(maker, folders_of(maker, row), row->name, "", 0600, &text, err);
}

/* Makes the API server's EncryptionConfiguration. The documentation recommends secretbox if there
 * is no KMS. "identity" reads what was stored in clear.
 * https://kubernetes.io/docs/tasks/administer-cluster/encrypt-data/ */
static int make_encryption(Maker *maker, const PkiArtifact *row, Error *err)
{
        unsigned char key[32];
        _cleanup_secret_ Secret text = SECRET_INIT, base64 = SECRET_INIT;
        int r = random_bytes(key, sizeof(key), err);
        if (r < 0) {
                return error_prefix(err, "make an encryption key");
        }
        r = base64_encode(key, sizeof(key), &base64);
        explicit_bzero(key, sizeof(key));
        if (r < 0) {
                return error_oom(err);
        }
        json_auto_t *document =
                json_pack("{s:s, s:s, s:[{s:[s], s:[{s:{s:[{s:s, s:s}]}}, {s:{}}]}]}", "apiVersion",
                          "apiserver.config.k8s.io/v1", "kind", "EncryptionConfiguration",
                          "resources", "resources", "secrets", "providers", "secretbox", "keys",
                          "name", "key1", "secret", base64.data, "identity");
        r = document_dump(document, &text, err);
        return r < 0 ? r
                     : add_files(maker, folders_of(maker, row), row->name, "", 0600, &text, err);
}

typedef int Make(Maker *maker, const PkiArtifact *row, Error *err);

static Make *const makes[_PKI_KIND_MAX] = {
        [PKI_AUTHORITY] = make_authority, [PKI_LEAF] = make_leaf,
        [PKI_KEY_PAIR] = make_key_pair,   [PKI_KUBECONFIG] = make_kubeconfig,
        [PKI_PASSWORD] = make_password,   [PKI_ENCRYPTION] = make_encryption,
};

int pki_make(const PkiFacts *facts, PkiFiles *ret, Error *err)
{
        _cleanup_pki_files_ PkiFiles files = {};
        _cleanup_(maker_done) Maker maker = { .facts = facts, .files = &files };
        FOREACH_ARRAY(row, pki_artifacts, pki_n_artifacts) {
                int r = folders_of(&maker, row) ? makes[row->kind](&maker, row, err) : 0;
                if (r < 0) {
                        return error_prefix(err, "make %s", row->name);
                }
        }
        const Authority *authority = find_authority(&maker, "ca");
        if (!authority) {
                return error_set(err, ERROR_FATAL, ENOENT, "there is no authority ca");
        }
        int r = certificate_fingerprint(authority->certificate, files.ca_sha256, err);
        if (r < 0) {
                return r;
        }
        *ret = files;
        files.n = 0;
        return 0;
}
