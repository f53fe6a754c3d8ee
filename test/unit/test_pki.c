/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/pki.h"

#include <jansson.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include "cluster/certificate.h"
#include "harness.h"

DEFINE_CLEANUP(X509_STORE *, X509_STORE_free);
DEFINE_CLEANUP(X509_STORE_CTX *, X509_STORE_CTX_free);

static PkiFacts facts = {
        .cluster_name = "blue",
        .public_ip = "198.51.100.7",
        .private_ip = "172.20.128.9",
        .service_network = { 0x0a000000, 16 },
        .cluster_domain = "cluster.local",
        .api_dns_name = "",
};
static PkiFiles made;

static const PkiFile *find(ArtifactsFolder folder, const char *name)
{
        FOREACH_ARRAY(file, made.files, made.n) {
                if (file->folder == folder && streq(file->name, name)) {
                        return file;
                }
        }
        return NULL;
}

static X509 *load_certificate(ArtifactsFolder folder, const char *name)
{
        Error err = {};
        X509 *x = NULL;
        const PkiFile *file = find(folder, name);
        if (!file || certificate_from_pem(file->content.data, file->content.size, &x, &err) < 0) {
                test_fail(__FILE__, __LINE__, "%s: %s", name, file ? err.message : "not made");
        }
        return x;
}

/* As a TLS peer does: chain, times, purpose. */
static bool verifies(X509 *x, X509 *authority, int purpose, time_t when)
{
        _cleanup_(X509_STORE_freep) X509_STORE *store = X509_STORE_new();
        _cleanup_(X509_STORE_CTX_freep) X509_STORE_CTX *context = X509_STORE_CTX_new();
        X509_STORE_add_cert(store, authority);
        X509_STORE_CTX_init(context, store, x, NULL);
        X509_STORE_CTX_set_purpose(context, purpose);
        X509_STORE_CTX_set_time(context, 0, when);
        X509_VERIFY_PARAM_set_flags(X509_STORE_CTX_get0_param(context), X509_V_FLAG_X509_STRICT);
        return X509_verify_cert(context) == 1;
}

static void make_all(void)
{
        Error err = {};
        facts.now = time(NULL);
        CHECK_OK(pki_make(&facts, &made, &err), err);
}

static void check_holds_exactly(const PkiFiles *files, const char *expected)
{
        size_t lines = 0;
        for (const char *p = expected; *p; p++) {
                lines += *p == '\n';
        }
        CHECK_INT(files->n, lines);
        FOREACH_ARRAY(file, files->files, files->n) {
                _cleanup_free_ char *line =
                        string_format("%s/%s %o\n", artifacts_folder_to_string(file->folder),
                                      file->name, (unsigned) file->mode);
                REQUIRE(line);
                if (!strstr(expected, line)) {
                        test_fail(__FILE__, __LINE__, "unexpected %s", line);
                }
        }
}

/* Everything that each folder holds: a file more or less is a decision to be made here too. */
static void holds_exactly_these_files(void)
{
        check_holds_exactly(
                &made,
                "admin/ca.crt 644\nadmin/kubeconfig 600\n"
                "master/apiserver-etcd-client.crt 644\nmaster/apiserver-etcd-client.key 600\n"
                "master/apiserver-kubelet-client.crt 644\n"
                "master/apiserver-kubelet-client.key 600\n"
                "master/apiserver.crt 644\nmaster/apiserver.key 600\n"
                "master/ca.crt 644\nmaster/ca.key 600\n"
                "master/encryption-config.yaml 600\n"
                "master/etcd-ca.crt 644\nmaster/etcd-ca.key 600\n"
                "master/etcd-gateway.crt 644\nmaster/etcd-gateway.key 600\n"
                "master/etcd-overlay-password 600\n"
                "master/etcd-root-password 600\n"
                "master/etcd-server.crt 644\nmaster/etcd-server.key 600\n"
                "master/flanneld.crt 644\nmaster/flanneld.key 600\n"
                "master/front-proxy-ca.crt 644\nmaster/front-proxy-ca.key 600\n"
                "master/front-proxy-client.crt 644\nmaster/front-proxy-client.key 600\n"
                "master/kube-bootstrap.kubeconfig 600\n"
                "master/kube-controller-manager.kubeconfig 600\n"
                "master/kube-proxy.kubeconfig 600\n"
                "master/kube-scheduler.kubeconfig 600\n"
                "master/sa.key 600\nmaster/sa.pub 644\n"
                "node/ca.crt 644\nnode/etcd-ca.crt 644\n"
                "node/etcd-gateway.crt 644\nnode/etcd-gateway.key 600\n"
                "node/etcd-overlay-password 600\n"
                "node/flanneld.crt 644\nnode/flanneld.key 600\n"
                "node/kube-proxy.kubeconfig 600\n");
}

/* With containerd, nothing of a node works for another machine, and nothing of it opens etcd. */
static void gives_nodes_no_secret_with_containerd(void)
{
        Error err = {};
        _cleanup_pki_files_ PkiFiles files = {};
        PkiFacts with_containerd = facts;
        with_containerd.runtime = RUNTIME_CONTAINERD;
        CHECK_OK(pki_make(&with_containerd, &files, &err), err);
        check_holds_exactly(
                &files,
                "admin/ca.crt 644\nadmin/kubeconfig 600\n"
                "master/apiserver-etcd-client.crt 644\nmaster/apiserver-etcd-client.key 600\n"
                "master/apiserver-kubelet-client.crt 644\n"
                "master/apiserver-kubelet-client.key 600\n"
                "master/apiserver.crt 644\nmaster/apiserver.key 600\n"
                "master/ca.crt 644\nmaster/ca.key 600\n"
                "master/encryption-config.yaml 600\n"
                "master/etcd-ca.crt 644\nmaster/etcd-ca.key 600\n"
                "master/etcd-gateway.crt 644\nmaster/etcd-gateway.key 600\n"
                "master/etcd-server.crt 644\nmaster/etcd-server.key 600\n"
                "master/front-proxy-ca.crt 644\nmaster/front-proxy-ca.key 600\n"
                "master/front-proxy-client.crt 644\nmaster/front-proxy-client.key 600\n"
                "master/kube-bootstrap.kubeconfig 600\n"
                "master/kube-controller-manager.kubeconfig 600\n"
                "master/kube-scheduler.kubeconfig 600\n"
                "master/sa.key 600\nmaster/sa.pub 644\n"
                "node/ca.crt 644\n");
}

/* Private keys are in files that nobody else reads, and an authority's in the master's alone. */
static void keeps_keys_apart(void)
{
        FOREACH_ARRAY(file, made.files, made.n) {
                bool secret = strstr(file->content.data, "PRIVATE KEY") ||
                              strstr(file->content.data, "client-key-data") ||
                              strstr(file->content.data, "secretbox") ||
                              string_ends_with(file->name, "-password");
                CHECK_INT(file->mode, secret ? 0600 : 0644);
                CHECK(file->content.wipe);
        }
        FOREACH_ARRAY(authority, pki_artifacts, pki_n_artifacts) {
                if (authority->kind != PKI_AUTHORITY) {
                        continue;
                }
                _cleanup_free_ char *name = string_format("%s.key", authority->name);
                REQUIRE(name);
                const PkiFile *key = find(ARTIFACTS_MASTER, name);
                REQUIRE(key);
                FOREACH_ARRAY(file, made.files, made.n) {
                        if (file->folder != ARTIFACTS_MASTER) {
                                CHECK(!strstr(file->content.data, key->content.data));
                                CHECK(!streq(file->name, name));
                        }
                }
        }
}

static void makes_authorities(void)
{
        static const char *const names[] = { "ca", "etcd-ca", "front-proxy-ca" };
        FOREACH_ARRAY(name, names, ELEMENTS(names)) {
                Error err = {};
                _cleanup_free_ char *file = string_format("%s.crt", *name);
                REQUIRE(file);
                _cleanup_x509_ X509 *x = load_certificate(ARTIFACTS_MASTER, file);
                _cleanup_certificate_info_ CertificateInfo info = {};
                REQUIRE(x);
                CHECK_OK(certificate_inspect(x, &info, &err), err);
                CHECK(info.authority);
                CHECK_INT(info.usage, 0);
                CHECK_INT(X509_get_pathlen(x), 0);
                CHECK_INT(X509_get_key_usage(x), KU_KEY_CERT_SIGN | KU_CRL_SIGN);
                CHECK_INT(info.not_before, facts.now - CERTIFICATE_BACKDATE_S);
                CHECK_INT(info.not_after, facts.now + (time_t) PKI_AUTHORITY_DAYS * 86400);
                CHECK(certificate_is_signed_by(x, x));
                if (streq(*name, "ca")) {
                        CHECK_STR(info.common_name, "kubernetes");
                        CHECK_STR(info.sha256, made.ca_sha256);
                } else {
                        CHECK_STR(info.common_name, *name);
                }
        }
}

static void check_names(const PkiArtifact *row, const CertificateInfo *info)
{
        static const char *const api[] = { "IP:198.51.100.7",
                                           "IP:172.20.128.9",
                                           "IP:10.0.0.1",
                                           "IP:127.0.0.1",
                                           "IP:::1",
                                           "DNS:localhost",
                                           "DNS:kubernetes",
                                           "DNS:kubernetes.default",
                                           "DNS:kubernetes.default.svc",
                                           "DNS:kubernetes.default.svc.cluster.local" };
        static const char *const etcd[] = { "IP:172.20.128.9", "IP:127.0.0.1", "IP:::1",
                                            "DNS:localhost" };
        size_t n = row->names == PKI_NAMES_API    ? ELEMENTS(api)
                   : row->names == PKI_NAMES_ETCD ? ELEMENTS(etcd)
                                                  : 0;
        CHECK_INT(info->names.n, n);
        for (size_t i = 0; i < n && i < info->names.n; i++) {
                CHECK_STR(info->names.items[i], row->names == PKI_NAMES_API ? api[i] : etcd[i]);
        }
}

static void check_leaf(const PkiArtifact *row, X509 *x)
{
        Error err = {};
        _cleanup_certificate_info_ CertificateInfo info = {};
        CHECK_OK(certificate_inspect(x, &info, &err), err);
        CHECK(!info.authority);
        CHECK(!info.other_usage);
        CHECK_INT(info.usage, row->usage);
        CHECK_INT(X509_get_key_usage(x), KU_DIGITAL_SIGNATURE);
        CHECK_INT(X509_get_extension_flags(x) & EXFLAG_INVALID, 0);
        CHECK_INT(info.not_before, facts.now - CERTIFICATE_BACKDATE_S);
        CHECK_INT(info.not_after, facts.now + (time_t) PKI_LEAF_DAYS * 86400);
        CHECK_STR(info.common_name, row->common_name ? row->common_name : "");
        CHECK_INT(info.organizations.n, row->organization ? 1 : 0);
        CHECK_STR(info.organizations.n ? info.organizations.items[0] : NULL, row->organization);
        check_names(row, &info);
}

static void check_chain(const PkiArtifact *row, X509 *x)
{
        FOREACH_ARRAY(authority, pki_artifacts, pki_n_artifacts) {
                if (authority->kind != PKI_AUTHORITY) {
                        continue;
                }
                _cleanup_free_ char *file = string_format("%s.crt", authority->name);
                REQUIRE(file);
                _cleanup_x509_ X509 *ca = load_certificate(ARTIFACTS_MASTER, file);
                REQUIRE(ca);
                bool ours = streq(authority->name, row->signer);
                CHECK_INT(certificate_is_signed_by(x, ca), ours);
                CHECK_INT(verifies(x, ca, X509_PURPOSE_SSL_CLIENT, facts.now),
                          ours && row->usage & CERTIFICATE_CLIENT);
                CHECK_INT(verifies(x, ca, X509_PURPOSE_SSL_SERVER, facts.now),
                          ours && row->usage & CERTIFICATE_SERVER);
                CHECK(!verifies(x, ca, X509_PURPOSE_ANY, facts.now - CERTIFICATE_BACKDATE_S - 9));
                CHECK(!verifies(x, ca, X509_PURPOSE_ANY, facts.now + 366 * (time_t) 86400));
        }
}

static void makes_leaves(void)
{
        FOREACH_ARRAY(row, pki_artifacts, pki_n_artifacts) {
                if (row->kind != PKI_LEAF) {
                        continue;
                }
                for (ArtifactsFolder i = 0; i < _ARTIFACTS_FOLDER_MAX; i++) {
                        if (!(row->folders[RUNTIME_DOCKER] & 1U << i)) {
                                continue;
                        }
                        Error err = {};
                        _cleanup_free_ char *crt = string_format("%s.crt", row->name);
                        _cleanup_free_ char *key_name = string_format("%s.key", row->name);
                        REQUIRE(crt && key_name);
                        _cleanup_x509_ X509 *x = load_certificate(i, crt);
                        const PkiFile *file = find(i, key_name);
                        _cleanup_key_ EVP_PKEY *key = NULL;
                        REQUIRE(x && file);
                        CHECK(string_starts_with(file->content.data,
                                                 "-----BEGIN PRIVATE KEY-----")); /* PKCS#8 */
                        CHECK_OK(certificate_key_from_pem(file->content.data, file->content.size,
                                                          &key, &err),
                                 err);
                        CHECK(certificate_has_key(x, key));
                        check_leaf(row, x);
                        check_chain(row, x);
                }
        }
}

static void keeps_keys_of_different_certificates_different(void)
{
        FOREACH_ARRAY(a, made.files, made.n) {
                FOREACH_ARRAY(b, made.files, made.n) {
                        bool same = streq(a->content.data, b->content.data);
                        CHECK_INT(same, streq(a->name, b->name) &&
                                                (a->folder == b->folder ||
                                                 !streq(a->name, "kube-proxy.kubeconfig")));
                }
        }
}

/* RFC 5280, 4.2.1.6: where there is no name, the alternative names are critical. */
static void makes_the_nameless_certificate_of_etcd(void)
{
        _cleanup_x509_ X509 *etcd = load_certificate(ARTIFACTS_MASTER, "etcd-server.crt");
        _cleanup_x509_ X509 *api = load_certificate(ARTIFACTS_MASTER, "apiserver.crt");
        REQUIRE(etcd && api);
        CHECK_INT(X509_NAME_entry_count(X509_get_subject_name(etcd)), 0);
        int at = X509_get_ext_by_NID(etcd, NID_subject_alt_name, -1);
        CHECK_INT(X509_EXTENSION_get_critical(X509_get_ext(etcd, at)), 1);
        at = X509_get_ext_by_NID(api, NID_subject_alt_name, -1);
        CHECK_INT(X509_EXTENSION_get_critical(X509_get_ext(api, at)), 0);
        CHECK_INT(X509_check_ip_asc(api, "10.0.0.1", 0), 1);
        CHECK_INT(X509_check_ip_asc(api, "10.0.0.2", 0), 0);
        CHECK_INT(X509_check_host(api, "kubernetes.default.svc.cluster.local", 0, 0, NULL), 1);
}

static void makes_serial_numbers_as_they_should_be(void)
{
        _cleanup_x509_ X509 *a = load_certificate(ARTIFACTS_MASTER, "ca.crt");
        _cleanup_x509_ X509 *b = load_certificate(ARTIFACTS_MASTER, "apiserver.crt");
        REQUIRE(a && b);
        const ASN1_INTEGER *serial = X509_get0_serialNumber(a);
        CHECK(ASN1_INTEGER_cmp(serial, X509_get0_serialNumber(b)) != 0);
        CHECK_INT(ASN1_STRING_type(serial), V_ASN1_INTEGER); /* not V_ASN1_NEG_INTEGER */
        CHECK_INT(ASN1_STRING_length(serial), 20);
}

static void pairs_the_service_account_key(void)
{
        Error err = {};
        const PkiFile *private_file = find(ARTIFACTS_MASTER, "sa.key");
        const PkiFile *public_file = find(ARTIFACTS_MASTER, "sa.pub");
        REQUIRE(private_file && public_file);
        _cleanup_key_ EVP_PKEY *key = NULL;
        _cleanup_buffer_ Buffer pem = {};
        CHECK_OK(certificate_key_from_pem(private_file->content.data, private_file->content.size,
                                          &key, &err),
                 err);
        CHECK_OK(certificate_public_key_to_pem(key, &pem, &err), err);
        CHECK_STR(pem.data, public_file->content.data);
}

/* https://kubernetes.io/docs/reference/config-api/apiserver-encryption.v1/ */
static void check_encryption(const Secret *content)
{
        json_auto_t *config = json_loadb(content->data, content->size, 0, NULL);
        const char *version = NULL, *kind = NULL, *resource = NULL, *name = NULL, *secret = NULL;
        const json_t *identity = NULL;
        CHECK_INT(json_unpack_ex(config, NULL, JSON_STRICT,
                                 "{s:s, s:s, s:[{s:[s], s:[{s:{s:[{s:s, s:s}]}}, {s:o}]}]}",
                                 "apiVersion", &version, "kind", &kind, "resources", "resources",
                                 &resource, "providers", "secretbox", "keys", "name", &name,
                                 "secret", &secret, "identity", &identity),
                  0);
        CHECK_STR(version, "apiserver.config.k8s.io/v1");
        CHECK_STR(kind, "EncryptionConfiguration");
        CHECK_STR(resource, "secrets");
        CHECK_STR(name, "key1");
        CHECK(json_is_object(identity) && json_object_size(identity) == 0);
        REQUIRE(secret);
        unsigned char key[48];
        CHECK_INT(strlen(secret), 44);
        CHECK_INT(EVP_DecodeBlock(key, (const unsigned char *) secret, 44), 33); /* 32, padded */
}

static void draws_passwords(void)
{
        static const char *const passwords[] = { "etcd-root-password", "etcd-overlay-password" };
        FOREACH_ARRAY(name, passwords, ELEMENTS(passwords)) {
                const PkiFile *password = find(ARTIFACTS_MASTER, *name);
                REQUIRE(password);
                CHECK_INT(password->content.size, 64);
                CHECK_INT(strspn(password->content.data, "0123456789abcdef"), 64);
        }
        const PkiFile *encryption = find(ARTIFACTS_MASTER, "encryption-config.yaml");
        REQUIRE(encryption);
        check_encryption(&encryption->content);
}

/* Who is in the group that may do everything, and whose requests an audit log cannot tell apart. */
static void names_identities(void)
{
        size_t n_masters = 0;
        FOREACH_ARRAY(row, pki_artifacts, pki_n_artifacts) {
                if (row->organization) { /* a group, to Kubernetes; a mere label, to etcd */
                        CHECK(streq(row->organization, "system:masters") ||
                              streq(row->signer, "etcd-ca"));
                        n_masters += streq(row->signer, "ca");
                }
                CHECK(!row->common_name || !streq(row->common_name, "root")); /* etcd's root */
                FOREACH_ARRAY(other, pki_artifacts, pki_n_artifacts) {
                        CHECK(row == other || !streq(row->name, other->name));
                        CHECK(row == other || !row->common_name ||
                              !streq_ptr(row->signer, other->signer) ||
                              !streq_ptr(row->common_name, other->common_name));
                }
        }
        CHECK_INT(n_masters, 2);
}

static void adds_the_dns_name_and_finds_the_first_service_address(void)
{
        static const struct {
                Network network;
                const char *first;
        } cases[] = {
                { { 0x0a000000, 16 }, "IP:10.0.0.1" },
                { { 0xac1e0800, 28 }, "IP:172.30.8.1" },
        };
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                Error err = {};
                _cleanup_string_list_ StringList names = {};
                PkiFacts f = facts;
                f.service_network = c->network;
                f.api_dns_name = "api.example.net";
                CHECK_OK(pki_names(PKI_NAMES_API, &f, &names, &err), err);
                CHECK(string_list_contains(&names, c->first));
                CHECK(string_list_contains(&names, "DNS:api.example.net"));
        }
}

static void leaf_does_not_outlive_its_issuer(void)
{
        Error err = {};
        _cleanup_key_ EVP_PKEY *key = NULL;
        _cleanup_x509_ X509 *ca = NULL, *leaf = NULL;
        _cleanup_certificate_info_ CertificateInfo info = {};
        CertificateRequest request = {
                .common_name = "ca", .authority = true, .now = facts.now, .days = 10
        };
        CHECK_OK(certificate_key_new(&key, &err), err);
        CHECK_OK(certificate_issue(&request, key, NULL, NULL, &ca, &err), err);
        request = (CertificateRequest) { .common_name = "leaf", .now = facts.now, .days = 365 };
        CHECK_OK(certificate_issue(&request, key, ca, key, &leaf, &err), err);
        REQUIRE(leaf);
        CHECK_OK(certificate_inspect(leaf, &info, &err), err);
        CHECK_INT(info.not_after, facts.now + 10 * 86400);
        CHECK_INT(info.usage, 0);
}

static void refuses_what_it_cannot_read(void)
{
        Error err = {};
        X509 *x = NULL;
        EVP_PKEY *key = NULL;
        CHECK_INT(certificate_from_pem("nonsense", 8, &x, &err), -EBADMSG);
        CHECK_INT(certificate_key_from_pem("", 0, &key, &err), -EBADMSG);
        CHECK(!x && !key);

        const StringList names = { .items = (char *[]) { (char[]) { "IP:1.2.3.400" }, NULL }, 1 };
        CertificateRequest request = { .common_name = "x", .names = &names, .now = 0, .days = 1 };
        CHECK_OK(certificate_key_new(&key, &err), err);
        CHECK(certificate_issue(&request, key, NULL, NULL, &x, &err) < 0);
        CHECK_CONTAINS(err.message, "make a certificate");
        CHECK(!x);
        EVP_PKEY_free(key);
}

/* `test_pki FOLDER` leaves what was made there, for a look with openssl(1). */
static void leave(const char *folder)
{
        FOREACH_ARRAY(file, made.files, made.n) {
                _cleanup_free_ char *path = string_format(
                        "%s/%s-%s", folder, artifacts_folder_to_string(file->folder), file->name);
                _cleanup_fclose_ FILE *f = fopen(path, "we");
                if (!f || fwrite(file->content.data, 1, file->content.size, f) == 0) {
                        test_fail(__FILE__, __LINE__, "cannot write %s", path);
                }
        }
}

int main(int argc, char **argv)
{
        static const TestCase cases[] = {
                { "makes every file of the table", make_all },
                { "each folder holds exactly the files meant for it", holds_exactly_these_files },
                { "with containerd, a node is given the authority's certificate alone",
                  gives_nodes_no_secret_with_containerd },
                { "keys are mode 0600, and those of authorities the master's alone",
                  keeps_keys_apart },
                { "authorities: ten years, sign leaves only", makes_authorities },
                { "leaves: names, usages, times, chain, as the table has them", makes_leaves },
                { "no two certificates share a key",
                  keeps_keys_of_different_certificates_different },
                { "etcd's server certificate has no name, and critical alternative names",
                  makes_the_nameless_certificate_of_etcd },
                { "serial numbers: random, positive, 20 octets",
                  makes_serial_numbers_as_they_should_be },
                { "service account key and its public half", pairs_the_service_account_key },
                { "passwords and the encryption key", draws_passwords },
                { "one identity per certificate, system:masters for two", names_identities },
                { "API_DNS_NAME, and the first address of the service network",
                  adds_the_dns_name_and_finds_the_first_service_address },
                { "a leaf does not outlive its issuer", leaf_does_not_outlive_its_issuer },
                { "what is no certificate is refused", refuses_what_it_cannot_read },
        };
        test_chain(NULL, cases, ELEMENTS(cases));
        if (argc == 2 && argv[1][0] != '-') {
                leave(argv[1]);
        }
        pki_files_done(&made);
        return test_done();
}
