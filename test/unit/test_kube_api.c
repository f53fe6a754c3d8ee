/* SPDX-License-Identifier: Apache-2.0 */
#include "host/kube_api.h"

#include <errno.h>

#include "base/file.h"
#include "cluster/certificate.h"
#include "cluster/kubeconfig.h"
#include "host/http.h"
#include "scripted_server.h"

static ScriptedServer server, strict;
static char url[64], strict_url[64], ca_path[256], pem_path[256], config_path[256];

/* A client of the plain server. */
static KubeApi *open_plain(void)
{
        KubeApi *api = NULL;
        Error err = {};
        CHECK_OK(kube_api_open_file(url, ca_path, pem_path, &api, &err), err);
        return api;
}

static void answer(const char *status, const char *body)
{
        server_reset(&server, NULL);
        server_script(&server, status, "Content-Type: application/json\r\n", body);
}

static void write_credentials(void)
{
        _cleanup_key_ EVP_PKEY *key = NULL;
        _cleanup_x509_ X509 *x = NULL;
        _cleanup_buffer_ Buffer pem = {};
        _cleanup_secret_ Secret key_pem = SECRET_INIT, both = SECRET_INIT, config = SECRET_INIT;
        const CertificateRequest request = { .common_name = "client",
                                             .usage = CERTIFICATE_CLIENT,
                                             .names = &(StringList) {},
                                             .now = time(NULL),
                                             .days = 1 };
        Error err = {};
        CHECK_OK(certificate_key_new(&key, &err), err);
        CHECK_OK(certificate_issue(&request, key, NULL, NULL, &x, &err), err);
        CHECK_OK(certificate_to_pem(x, &pem, &err), err);
        CHECK_OK(certificate_key_to_pem(key, &key_pem, &err), err);
        CHECK_INT(buffer_append_format(&both, "%s%s", pem.data, key_pem.data), 0);
        CHECK_OK(file_write(pem_path, both.data, both.size, 0600, &err), err);
        const Kubeconfig kubeconfig = { "c", "https://h:443", "u", &pem, &pem, &key_pem };
        CHECK_OK(kubeconfig_format(&kubeconfig, &config, &err), err);
        CHECK_OK(file_write(config_path, config.data, config.size, 0600, &err), err);
        /* the strict server lets nobody else in */
        (void) X509_STORE_add_cert(SSL_CTX_get_cert_store(strict.tls), x);
        SSL_CTX_set_verify(strict.tls, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
        (void) SSL_CTX_set_session_id_context(strict.tls, (const unsigned char *) "t", 1);
}

/* Both kinds of file hold what a server that asks for a certificate is content with. */
static void test_credentials(void)
{
        Error err = {};
        Wait wait = test_patience();
        _cleanup_kube_api_ KubeApi *file = NULL, *config = NULL;
        server_reset(&strict, NULL);
        server_script(&strict, "200 OK", "", "ok");
        CHECK_OK(kube_api_open_file(strict_url, ca_path, pem_path, &file, &err), err);
        REQUIRE(file);
        CHECK_INT(kube_api_is_ready(file, &wait, &err), 1);
        CHECK_OK(kube_api_open_kubeconfig(strict_url, ca_path, config_path, &config, &err), err);
        REQUIRE(config);
        CHECK_INT(kube_api_is_ready(config, &wait, &err), 1);
        CHECK(string_starts_with(server_request(&strict, 0), "GET /readyz HTTP/1.1\r\n"));
}

static void test_no_credentials(void)
{
        Error err = {};
        KubeApi *api = NULL;
        char path[256];
        (void) snprintf(path, sizeof(path), "%s/none", test_folder());
        CHECK_INT(kube_api_open_file(url, ca_path, path, &api, &err), -ENOENT);
        CHECK_INT(err.class, ERROR_RETRY);
        CHECK_CONTAINS(err.message, path);
        CHECK_INT(kube_api_open_kubeconfig(url, ca_path, path, &api, &err), -ENOENT);
        CHECK_OK(file_write(path, "", 0, 0600, &err), err);
        CHECK_INT(kube_api_open_file(url, ca_path, path, &api, &err), -EBADMSG);
        CHECK_INT(err.class, ERROR_CONFIG);
        CHECK_INT(kube_api_open_kubeconfig(url, ca_path, path, &api, &err), -EBADMSG);
        CHECK_INT(kube_api_open_file(url, ca_path, ca_path, &api, &err), -EBADMSG); /* no key */
        CHECK_CONTAINS(err.message, "private key");
        static const char broken[] = "    client-certificate-data: !\n";
        CHECK_OK(file_write(path, broken, strlen(broken), 0600, &err), err);
        CHECK_INT(kube_api_open_kubeconfig(url, ca_path, path, &api, &err), -EBADMSG);
        CHECK_CONTAINS(err.message, "has no client-certificate-data");
        CHECK(!api);
}

/* The file of a cluster that was made when kubeconfigs were YAML. */
static void test_older_kubeconfig(void)
{
        Error err = {};
        Wait wait = test_patience();
        char path[256];
        _cleanup_kube_api_ KubeApi *api = NULL;
        _cleanup_secret_ Secret config = SECRET_INIT, text = SECRET_INIT;
        CHECK_OK(file_read(config_path, 65536, &config, &err), err);
        json_auto_t *json = json_loadb(config.data, config.size, 0, NULL);
        const json_t *user =
                json_object_get(json_array_get(json_object_get(json, "users"), 0), "user");
        CHECK_INT(buffer_append_format(
                          &text,
                          "apiVersion: v1\nkind: Config\nusers:\n- name: \"kube-bootstrap\"\n"
                          "  user:\n    client-certificate-data: %s\n    client-key-data: %s\n",
                          kube_api_text(user, "client-certificate-data"),
                          kube_api_text(user, "client-key-data")),
                  0);
        (void) snprintf(path, sizeof(path), "%s/older", test_folder());
        CHECK_OK(file_write(path, text.data, text.size, 0600, &err), err);
        server_reset(&strict, NULL);
        server_script(&strict, "200 OK", "", "ok");
        CHECK_OK(kube_api_open_kubeconfig(strict_url, ca_path, path, &api, &err), err);
        REQUIRE(api);
        CHECK_INT(kube_api_is_ready(api, &wait, &err), 1);
}

static void test_ready(void)
{
        Error err = {};
        Wait wait = test_patience();
        _cleanup_kube_api_ KubeApi *api = open_plain(), *nobody = NULL;
        answer("200 OK", "ok");
        CHECK_INT(kube_api_is_ready(api, &wait, &err), 1);
        answer("500 Oops", "[-]poststarthook/rbac/bootstrap-roles failed");
        CHECK_INT(kube_api_is_ready(api, &wait, &err), 0);
        answer("200 OK", "soon");
        CHECK_INT(kube_api_is_ready(api, &wait, &err), 0);
        answer("401 No", "{\"kind\":\"Status\",\"message\":\"Unauthorized\"}");
        CHECK_INT(kube_api_is_ready(api, &wait, &err), -EACCES);
        CHECK_INT(err.class, ERROR_DENIED);
        CHECK_OK(kube_api_open_file("http://127.0.0.1:1", ca_path, pem_path, &nobody, &err), err);
        CHECK_INT(kube_api_is_ready(nobody, &wait, &err), 0);
}

static void test_get(void)
{
        Error err = {};
        Wait wait = test_patience();
        _cleanup_kube_api_ KubeApi *api = open_plain();
        json_auto_t *object = NULL;
        answer("200 OK", "{\"metadata\":{\"name\":\"a\"},\"spec\":{\"n\":1}}");
        CHECK_INT(kube_api_get(api, "/api/v1/nodes/a", &wait, &object, &err), 1);
        CHECK(string_starts_with(server_request(&server, 0), "GET /api/v1/nodes/a HTTP/1.1\r\n"));
        CHECK_CONTAINS(server_request(&server, 0), "\r\nAccept: application/json\r\n");
        CHECK_STR(kube_api_text(object, "metadata.name"), "a");
        CHECK_STR(kube_api_text(object, "metadata.uid"), "");
        CHECK_STR(kube_api_text(object, "spec.n"), ""); /* no text */
        CHECK_STR(kube_api_text(object, "a.b.c"), "");
        CHECK_STR(kube_api_text(NULL, "a"), "");

        json_t *none = NULL;
        answer("404 None", "{\"kind\":\"Status\"}");
        CHECK_INT(kube_api_get(api, "/api/v1/nodes/b", &wait, &none, &err), 0);
        CHECK(!none);
        answer("200 OK", "[]");
        CHECK_INT(kube_api_get(api, "/api/v1/nodes/b", &wait, &none, &err), -EBADMSG);
        CHECK_INT(err.class, ERROR_RETRY);
}

/* The class is what the engine goes by. */
static void test_classes(void)
{
        static const struct {
                const char *status;
                int error;
                ErrorClass class;
        } cases[] = {
                { "400 Bad", EINVAL, ERROR_FATAL },     { "401 Who", EACCES, ERROR_DENIED },
                { "403 No", EACCES, ERROR_DENIED },     { "405 How", EINVAL, ERROR_FATAL },
                { "409 Race", EEXIST, ERROR_RETRY },    { "410 Gone", ESTALE, ERROR_RETRY },
                { "422 Invalid", EINVAL, ERROR_FATAL }, { "429 Slow", EAGAIN, ERROR_RETRY },
                { "500 Oops", EIO, ERROR_RETRY },       { "503 Later", EIO, ERROR_RETRY },
                { "504 Late", EIO, ERROR_RETRY },
        };
        Wait wait = test_patience();
        _cleanup_kube_api_ KubeApi *api = open_plain();
        json_auto_t *body = json_object();
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                Error err = {};
                answer(c->status, "{\"kind\":\"Status\",\"message\":\"in its own words\"}");
                CHECK_INT(kube_api_change(api, KUBE_API_POST, "/x?dry=1", body, &wait, &err),
                          -c->error);
                CHECK_INT(err.class, c->class);
                CHECK_INT(err.http_status, atoi(c->status));
                CHECK_CONTAINS(err.message, "POST /x: status ");
                CHECK_CONTAINS(err.message, "in its own words");
        }
        Error err = {};
        answer("500 Oops", "<html>");
        CHECK_INT(kube_api_change(api, KUBE_API_POST, "/x", body, &wait, &err), -EIO);
        CHECK_CONTAINS(err.message, "no message");
}

static void test_changes(void)
{
        static const struct {
                KubeApiMethod method;
                const char *line, *type;
        } cases[] = {
                { KUBE_API_POST, "POST /p HTTP/1.1\r\n", "application/json" },
                { KUBE_API_PUT, "PUT /p HTTP/1.1\r\n", "application/json" },
                { KUBE_API_PATCH, "PATCH /p HTTP/1.1\r\n", "application/merge-patch+json" },
                { KUBE_API_DELETE, "DELETE /p HTTP/1.1\r\n", "application/json" },
        };
        Error err = {};
        Wait wait = test_patience();
        _cleanup_kube_api_ KubeApi *api = open_plain();
        json_auto_t *body = json_pack("{s:s}", "a", "b");
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                char type[80];
                (void) snprintf(type, sizeof(type), "\r\nContent-Type: %s\r\n", c->type);
                answer("200 OK", "{}");
                CHECK_INT(kube_api_change(api, c->method, "/p", body, &wait, &err), 1);
                CHECK(string_starts_with(server_request(&server, 0), c->line));
                CHECK_CONTAINS(server_request(&server, 0), type);
                CHECK_CONTAINS(server_request(&server, 0), "\r\n\r\n{\"a\":\"b\"}");
        }
        answer("404 None", "{}");
        CHECK_INT(kube_api_change(api, KUBE_API_DELETE, "/p", NULL, &wait, &err), 0);
}

static int collect(const json_t *item, void *userdata, Error *err)
{
        (void) err;
        (void) strncat(userdata, kube_api_text(item, "n"), 4);
        return 0;
}

static int refuse(const json_t *item, void *userdata, Error *err)
{
        (void) item;
        ++*(int *) userdata;
        return error_set(err, ERROR_RETRY, EXDEV, "enough");
}

static char *pages(const char *request, unsigned number)
{
        (void) request;
        return make_reply("200 OK", "",
                          number == 0   ? "{\"metadata\":{\"continue\":\"t-1_A\"},"
                                          "\"items\":[{\"n\":\"a\"},{\"n\":\"b\"}]}"
                          : number == 1 ? "{\"metadata\":{\"continue\":\"t-2\"},\"items\":[]}"
                                        : "{\"metadata\":{},\"items\":[{\"n\":\"c\"}]}");
}

static void test_list(void)
{
        Error err = {};
        Wait wait = test_patience();
        char seen[16] = "";
        int visits = 0;
        _cleanup_kube_api_ KubeApi *api = open_plain();
        server_reset(&server, pages);
        CHECK_OK(kube_api_list(api, "/l", false, &wait, collect, seen, &err), err);
        CHECK_STR(seen, "abc");
        CHECK(string_starts_with(server_request(&server, 0), "GET /l?limit=250 HTTP"));
        CHECK(string_starts_with(server_request(&server, 1), "GET /l?limit=250&continue=t-1_A H"));
        CHECK(string_starts_with(server_request(&server, 2), "GET /l?limit=250&continue=t-2 H"));
        CHECK_INT(server_count(&server), 3);
        server_reset(&server, pages);
        CHECK_INT(kube_api_list(api, "/l?a=b", true, &wait, refuse, &visits, &err), -EXDEV);
        CHECK_INT(visits, 1);
        CHECK(string_starts_with(server_request(&server, 0), "GET /l?a=b&limit=250 HTTP"));
        CHECK_CONTAINS(server_request(&server, 0), "as=PartialObjectMetadataList;g=meta.k8s.io");
        answer("200 OK", "{\"metadata\":{\"continue\":\"a&b\"}}");
        CHECK_INT(kube_api_list(api, "/l", false, &wait, collect, seen, &err), -EBADMSG);
        answer("404 None", "{}");
        CHECK_INT(kube_api_list(api, "/l", false, &wait, collect, seen, &err), -ENOENT);
        CHECK_INT(err.class, ERROR_FATAL);
}

/* A server that never ends its list. */
static char *for_ever(const char *request, unsigned number)
{
        (void) request;
        (void) number;
        _cleanup_buffer_ Buffer body = {};
        int r = buffer_append_string(&body, "{\"metadata\":{\"continue\":\"x\"},\"items\":[0");
        for (int i = 0; i < 2499; i++) {
                r = r < 0 ? r : buffer_append_string(&body, ",0");
        }
        r = r < 0 ? r : buffer_append_string(&body, "]}");
        return r < 0 ? NULL : make_reply("200 OK", "", body.data);
}

static void test_list_has_an_end(void)
{
        Error err = {};
        Wait wait = test_patience();
        char seen[16] = "";
        _cleanup_kube_api_ KubeApi *api = open_plain();
        server_reset(&server, for_ever);
        CHECK_INT(kube_api_list(api, "/l", false, &wait, collect, seen, &err), -E2BIG);
        CHECK_INT(server_count(&server), 5);
}

int main(void)
{
        Error err = {};
        (void) snprintf(ca_path, sizeof(ca_path), "%s/ca.crt", test_folder());
        (void) snprintf(pem_path, sizeof(pem_path), "%s/client.pem", test_folder());
        (void) snprintf(config_path, sizeof(config_path), "%s/kubeconfig", test_folder());
        server_start(&server);
        server_use_tls(&strict, ca_path);
        server_start(&strict);
        (void) snprintf(url, sizeof(url), "http://127.0.0.1:%d", server.port);
        (void) snprintf(strict_url, sizeof(strict_url), "https://127.0.0.1:%d", strict.port);
        if (http_init(&err) < 0) {
                abort();
        }
        write_credentials();
        test_case("kube_api: credentials of both kinds of file", test_credentials);
        test_case("kube_api: files without credentials", test_no_credentials);
        test_case("kube_api: a kubeconfig of an older cluster", test_older_kubeconfig);
        test_case("kube_api: readyz", test_ready);
        test_case("kube_api: an object, or that there is none", test_get);
        test_case("kube_api: what a status means", test_classes);
        test_case("kube_api: changes", test_changes);
        test_case("kube_api: a list, page by page", test_list);
        test_case("kube_api: a list has an end", test_list_has_an_end);
        http_done();
        server_stop(&strict);
        return test_done();
}
