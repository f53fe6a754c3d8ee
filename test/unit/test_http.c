/* SPDX-License-Identifier: Apache-2.0 */
#include "host/http.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "base/file.h"
#include "certificate_maker.h"
#include "harness.h"
#include "loopback_server.h"

/* Says who the client is by its certificate. */
static void say_peer(Connection *c, const char *request)
{
        (void) request;
        char name[256] = "nobody";
        X509 *peer = loopback_tls(c) ? SSL_get1_peer_certificate(loopback_tls(c)) : NULL;
        if (peer) {
                (void) X509_NAME_oneline(X509_get_subject_name(peer), name, sizeof(name));
        }
        X509_free(peer);
        loopback_say_body(c, name);
}

static void say_headers(Connection *c, unsigned n, size_t length)
{
        char line[8192];
        loopback_say(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n");
        for (unsigned i = 0; i < n; i++) {
                (void) snprintf(line, sizeof(line), "X-%u: %0*d\r\n", i, (int) length, 7);
                loopback_say(c, line);
        }
        loopback_say(c, "\r\n");
}

static void say_many_headers(Connection *c, const char *request)
{
        (void) request;
        say_headers(c, 100, 1);
}

static void say_flood(Connection *c, const char *request)
{
        (void) request;
        say_headers(c, 100, 8000);
}

static const Answer answers[] = {
        { "/ok ", "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nX-Mixed: \t two \r\n"
                  "X-Empty:\r\nContent-Length: 5\r\n\r\nhello" },
        { "/missing ", "HTTP/1.1 404 Not Found\r\nDate: soon\r\nContent-Length: 0\r\n\r\n" },
        { "/moved ", "HTTP/1.1 302 Found\r\nLocation: /ok\r\nContent-Length: 0\r\n\r\n" },
        { "/interim ", "HTTP/1.1 103 Early Hints\r\nX-Early: 1\r\n\r\n"
                       "HTTP/1.1 200 OK\r\nX-Late: 1\r\nContent-Length: 0\r\n\r\n" },
        { "/chunked ", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                       "3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n" },
        { "/huge ", "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n" },
        { "/cut ", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", true },
        { "/cut-chunk ", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
          true },
        { "/once ", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true },
        { "/garbage ", "220 mail.example.com ESMTP\r\n", true },
        { "/nothing ", "", true },
        { "/silent ", "" },
        { "/echo", .say = loopback_say_body },
        { "/who ", .say = say_peer },
        { "/many ", .say = say_many_headers },
        { "/flood ", .say = say_flood },
        {},
};

static Server plain = { .answers = answers }, local = { .answers = answers };
static Server tls = { .answers = answers }, tls_old = { .answers = answers };
static char socket_path[128], ca_path[128];
static char *client_cert, *client_key;

static int ask(Server *server, const char *path, HttpRequest request, HttpReply *ret, Error *err)
{
        Wait wait = test_patience();
        char url[256];
        (void) snprintf(url, sizeof(url), "%s://127.0.0.1:%d%s", server->tls ? "https" : "http",
                        server->port, path);
        request.method = request.method ? request.method : "GET";
        request.url = url;
        return http_exchange(&request, &wait, ret, err);
}

#define ASK(server, path, ret, err, ...) ask(server, path, (HttpRequest) { __VA_ARGS__ }, ret, err)

static void test_reply(void)
{
        Error err = {};
        _cleanup_http_reply_ HttpReply reply = {}, missing = {};
        CHECK_OK(ASK(&plain, "/ok", &reply, &err), err);
        CHECK_INT(reply.status, 200);
        CHECK_STR(reply.body.data, "hello");
        CHECK_INT(reply.date, 784111777);
        CHECK_STR(http_reply_header(&reply, "x-mixed"), "two");
        CHECK_STR(http_reply_header(&reply, "x-empty"), "");
        CHECK_STR(http_reply_header(&reply, "x-none"), NULL);
        CHECK_OK(ASK(&plain, "/missing", &missing, &err), err);
        CHECK_INT(missing.status, 404);
        CHECK_STR(missing.body.data, "");
        CHECK_INT(missing.date, 0);
}

static void test_reply_forms(void)
{
        Error err = {};
        _cleanup_http_reply_ HttpReply interim = {}, chunked = {}, head = {}, moved = {}, many = {};
        CHECK_OK(ASK(&plain, "/interim", &interim, &err), err);
        CHECK_STR(http_reply_header(&interim, "x-early"), NULL);
        CHECK_STR(http_reply_header(&interim, "x-late"), "1");
        CHECK_OK(ASK(&plain, "/chunked", &chunked, &err), err);
        CHECK_STR(chunked.body.data, "hello");
        CHECK_OK(ASK(&plain, "/huge", &head, &err, .method = "HEAD"), err);
        CHECK_STR(http_reply_header(&head, "content-length"), "99999999999");
        CHECK_OK(ASK(&plain, "/moved", &moved, &err), err);
        CHECK_INT(moved.status, 302);
        CHECK_OK(ASK(&plain, "/many", &many, &err), err);
        CHECK_INT(many.n_headers, HTTP_HEADERS_MAX);
}

static void test_request(void)
{
        Error err = {};
        HttpHeader headers[] = { { (char[]) { "Host" }, (char[]) { "example.com" } },
                                 { (char[]) { "X-Empty" }, (char[]) { "" } } };
        _cleanup_http_reply_ HttpReply put = {}, empty = {}, get = {}, typed = {};
        CHECK_OK(ASK(&plain, "/echo/a/../b?x=1", &put, &err, .method = "PUT", .body = "a\0b",
                     .body_size = 3, .headers = headers, .n_headers = 2),
                 err);
        CHECK(string_starts_with(put.body.data, "PUT /echo/a/../b?x=1 HTTP/1.1\r\n"));
        CHECK_CONTAINS(put.body.data, "Host: example.com\r\n");
        CHECK_CONTAINS(put.body.data, "X-Empty:\r\n");
        CHECK_CONTAINS(put.body.data, "Content-Length: 3\r\n");
        CHECK(!strstr(put.body.data, "Content-Type"));
        CHECK_OK(ASK(&plain, "/echo", &empty, &err, .method = "POST"), err);
        CHECK_CONTAINS(empty.body.data, "Content-Length: 0\r\n");
        CHECK_OK(ASK(&plain, "/echo", &get, &err), err);
        CHECK(!strstr(get.body.data, "Content-Length"));
        CHECK(!strstr(get.body.data, "Content-Type"));
        HttpHeader type = { (char[]) { "content-type" }, (char[]) { "application/json" } };
        CHECK_OK(ASK(&plain, "/echo", &typed, &err, .method = "POST", .body = "{}", .body_size = 2,
                     .headers = &type, .n_headers = 1),
                 err);
        CHECK_CONTAINS(typed.body.data, "content-type: application/json\r\n");
        CHECK(!strstr(typed.body.data, "Content-Type"));
        HttpHeader bad = { (char[]) { "X-Bad" }, (char[]) { "1\r\nX-Smuggled: 2" } };
        CHECK_INT(ASK(&plain, "/echo", &typed, &err, .headers = &bad, .n_headers = 1), -EINVAL);
}

static void test_failures(void)
{
        static const struct {
                const char *path;
                int error;
                ErrorClass class;
        } cases[] = {
                { "/cut", ECONNRESET, ERROR_RETRY },     { "/cut-chunk", ECONNRESET, ERROR_RETRY },
                { "/nothing", ECONNRESET, ERROR_RETRY }, { "/garbage", EBADMSG, ERROR_RETRY },
                { "/flood", EFBIG, ERROR_FATAL },
        };
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                Error err = {};
                HttpReply reply = { .status = -1 };
                CHECK_INT(ASK(&plain, c->path, &reply, &err), -c->error);
                CHECK_INT(err.class, c->class);
                CHECK_CONTAINS(err.message, c->path);
                CHECK_INT(reply.status, -1); /* untouched */
        }
}

static void test_reply_max(void)
{
        Error err = {};
        _cleanup_http_reply_ HttpReply reply = {};
        CHECK_OK(ASK(&plain, "/ok", &reply, &err, .reply_max = 5, .secret_reply = true), err);
        CHECK(reply.body.wipe);
        CHECK_INT(ASK(&plain, "/ok", &reply, &err, .reply_max = 4, .effect = "s3 get"), -EFBIG);
        CHECK_INT(err.class, ERROR_FATAL);
        CHECK_STR(err.message, "s3 get: reply too large");
}

static void test_nobody(void)
{
        Error err = {};
        Wait wait = test_patience();
        HttpReply reply;
        Server closed = plain;
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct sockaddr_in address = { .sin_family = AF_INET,
                                       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t size = sizeof(address);
        REQUIRE(bind(fd, (struct sockaddr *) &address, size) == 0 &&
                getsockname(fd, (struct sockaddr *) &address, &size) == 0);
        closed.port = ntohs(address.sin_port); /* bound, and nobody listens */
        CHECK_INT(ASK(&closed, "/ok?secret=1", &reply, &err), -ECONNREFUSED);
        CHECK_INT(err.class, ERROR_RETRY);
        CHECK_CONTAINS(err.message, "Connection refused");
        CHECK(!strstr(err.message, " ms")); /* the same failure has the same message */
        CHECK(!strstr(err.message, "secret"));
        (void) close(fd);
        HttpRequest request = { .method = "GET", .url = "http://docker/", .unix_socket = "/none" };
        CHECK_INT(http_exchange(&request, &wait, &reply, &err), -ENOENT);
        CHECK_STR(err.message, "GET http://docker/: /none: No such file or directory");
        CHECK_INT(err.class, ERROR_RETRY);
        /* RFC 6761: it has no address; what the servers are is the machine's own matter. */
        char server[64] = "none";
        FILE *resolv_conf = fopen("/etc/resolv.conf", "re");
        for (char line[256]; resolv_conf && fgets(line, sizeof(line), resolv_conf);) {
                if (sscanf(line, "nameserver %63s", server) == 1) {
                        break;
                }
        }
        if (resolv_conf) {
                (void) fclose(resolv_conf);
        }
        request = (HttpRequest) { .method = "GET", .url = "http://nothing.invalid:80/ok" };
        Wait brief = test_wait(5);
        CHECK(http_exchange(&request, &brief, &reply, &err) < 0);
        CHECK_INT(err.class, ERROR_RETRY);
        CHECK_CONTAINS(err.message, "resolve nothing.invalid: no a"); /* address, or answer */
        CHECK_CONTAINS(err.message, server);
        request = (HttpRequest) { .method = "GET", .url = "file:///etc/passwd" };
        CHECK(http_exchange(&request, &wait, &reply, &err) < 0);
        request.url = "http://";
        CHECK_INT(http_exchange(&request, &wait, &reply, &err), -EINVAL);
        CHECK_INT(err.class, ERROR_CONFIG);
}

static void test_unix_socket(void)
{
        Error err = {};
        Wait wait = test_patience();
        _cleanup_http_reply_ HttpReply reply = {};
        HttpRequest request = { .method = "GET",
                                .url = "http://docker/ok",
                                .unix_socket = socket_path };
        CHECK_OK(http_exchange(&request, &wait, &reply, &err), err);
        CHECK_STR(reply.body.data, "hello");
}

static void test_proxy(void)
{
        Error err = {};
        _cleanup_http_reply_ HttpReply reply = {};
        CHECK_INT(setenv("http_proxy", "http://127.0.0.1:1", 1), 0);
        CHECK_OK(ASK(&plain, "/ok", &reply, &err), err);
        CHECK_INT(unsetenv("http_proxy"), 0);
}

static void *ask_from_thread(void *userdata)
{
        _cleanup_http_reply_ HttpReply reply = {};
        return ASK(&plain, "/ok", &reply, userdata) < 0 ? userdata : NULL;
}

static void test_reuse(void)
{
        Error err = {};
        int before = atomic_load(&plain.connections);
        HttpReply reply = {};
        for (int i = 0; i < 5; i++) {
                CHECK_OK(ASK(&plain, "/ok", &reply, &err), err);
                http_reply_done(&reply);
        }
        CHECK(atomic_load(&plain.connections) - before <= 1);
        before = atomic_load(&plain.connections);
        for (int i = 0; i < 3; i++) { /* a connection the server has closed is no failure */
                CHECK_OK(ASK(&plain, "/once", &reply, &err), err);
                http_reply_done(&reply);
        }
        CHECK(atomic_load(&plain.connections) - before >= 2);
        pthread_t thread;
        void *r = NULL;
        before = atomic_load(&plain.connections);
        REQUIRE(pthread_create(&thread, NULL, ask_from_thread, &err) == 0);
        REQUIRE(pthread_join(thread, &r) == 0);
        CHECK(r == NULL);
        CHECK_INT(atomic_load(&plain.connections) - before, 1); /* its own */
}

static void test_timeout(void)
{
        Error err = {};
        HttpReply reply;
        uint64_t before = wait_now_ms();
        CHECK_INT(ASK(&plain, "/silent", &reply, &err, .timeout_ms = 200), -ETIMEDOUT);
        uint64_t took = wait_now_ms() - before;
        CHECK(took >= 200 && took < TEST_CUT_SHORT_MS);
        CHECK_INT(err.class, ERROR_RETRY);
        CHECK_CONTAINS(err.message, "waiting for a reply: timed out");
        Wait over = { .deadline_ms = wait_now_ms(), .stop_fd = -1 };
        HttpRequest request = { .method = "GET", .url = "http://127.0.0.1:1/" };
        CHECK_INT(http_exchange(&request, &over, &reply, &err), -ETIMEDOUT);
}

static void *stop_soon(void *userdata)
{
        Wait wait = test_patience();
        (void) wait_sleep(&wait, 200, ERROR_IGNORED);
        (void) eventfd_write(((const Wait *) userdata)->stop_fd, 1);
        return NULL;
}

static void test_stop(void)
{
        Error err = {};
        HttpReply reply;
        Wait wait = test_patience();
        pthread_t thread;
        char url[64];
        (void) snprintf(url, sizeof(url), "http://127.0.0.1:%d/silent", plain.port);
        HttpRequest request = { .method = "GET", .url = url };
        wait.stop_fd = eventfd(0, EFD_CLOEXEC);
        REQUIRE(pthread_create(&thread, NULL, stop_soon, &wait) == 0);
        uint64_t before = wait_now_ms();
        CHECK_INT(http_exchange(&request, &wait, &reply, &err), -ECANCELED);
        uint64_t took = wait_now_ms() - before;
        CHECK(took >= 150 && took < TEST_CUT_SHORT_MS);
        (void) pthread_join(thread, NULL);
        CHECK_INT(http_exchange(&request, &wait, &reply, &err), -ECANCELED); /* at once */
        (void) close(wait.stop_fd);
}

static void test_tls(void)
{
        Error err = {};
        _cleanup_http_reply_ HttpReply reply = {}, nobody = {}, again = {};
        HttpTls both = { ca_path, client_cert, client_key }, none = { .ca_file = ca_path };
        CHECK_OK(ASK(&tls, "/who", &nobody, &err, .tls = none), err);
        CHECK_STR(nobody.body.data, "nobody");
        CHECK_OK(ASK(&tls, "/who", &reply, &err, .tls = both), err);
        CHECK_STR(reply.body.data, "/CN=client");
        CHECK_OK(ASK(&tls, "/who", &again, &err, .tls = none),
                 err); /* not on client's connection */
        CHECK_STR(again.body.data, "nobody");
}

static void *ask_tls_from_thread(void *userdata)
{
        _cleanup_http_reply_ HttpReply reply = {};
        HttpTls none = { .ca_file = ca_path };
        return ASK(&tls, "/who", &reply, userdata, .tls = none) < 0 ? userdata : NULL;
}

static void test_resumption(void)
{
        Error err = {};
        int connections = atomic_load(&tls.connections);
        long before = SSL_CTX_sess_hits(tls.tls);
        for (int i = 0; i < 2; i++) {
                pthread_t thread;
                void *r = NULL;
                REQUIRE(pthread_create(&thread, NULL, ask_tls_from_thread, &err) == 0);
                REQUIRE(pthread_join(thread, &r) == 0);
                CHECK(r == NULL);
        }
        CHECK_INT(atomic_load(&tls.connections) - connections, 2);
        CHECK(SSL_CTX_sess_hits(tls.tls) > before); /* the second knows what the first agreed on */
}

static void test_tls_refusals(void)
{
        Error err = {};
        Wait wait = test_patience();
        HttpReply reply;
        HttpTls ca = { .ca_file = ca_path };
        CHECK_INT(ASK(&tls, "/ok", &reply, &err), -EKEYREJECTED); /* the system's authorities */
        CHECK_INT(ASK(&tls_old, "/ok", &reply, &err, .tls = ca), -EPROTO);
        CHECK_INT(err.class, ERROR_RETRY);
        char url[64];
        (void) snprintf(url, sizeof(url), "https://localhost:%d/ok", tls.port);
        HttpRequest request = { .method = "GET", .url = url, .tls = ca };
        CHECK_INT(http_exchange(&request, &wait, &reply, &err), -EKEYREJECTED); /* another name */
        CHECK_INT(ASK(&tls, "/ok", &reply, &err, .tls = { "/none.pem", NULL, NULL }), -EINVAL);
        CHECK_INT(err.class, ERROR_CONFIG);
        CHECK_CONTAINS(err.message, "/none.pem");
        HttpTls bad = { ca_path, "no certificate", "no key" };
        CHECK_INT(ASK(&tls, "/ok", &reply, &err, .tls = bad), -EINVAL);
        CHECK_INT(err.class, ERROR_CONFIG);
}

static void test_classes(void)
{
        for (int code = 1; code < CURL_LAST; code++) {
                int error = 0;
                ErrorClass class = http_class_from_curl(code, &error);
                CHECK(class >= 0 && class < _ERROR_CLASS_MAX && error > 0);
        }
        int error = 0;
        CHECK_INT(http_class_from_curl(CURLE_OPERATION_TIMEDOUT, &error), ERROR_RETRY);
        CHECK_INT(error, ETIMEDOUT);
        CHECK_INT(http_class_from_curl(CURLE_HTTP2, &error), ERROR_RETRY);
        CHECK_INT(error, EPROTO);
        CHECK_INT(http_class_from_curl(CURLE_HTTP2_STREAM, &error), ERROR_RETRY);
        CHECK_INT(error, ECONNRESET);
        CHECK_INT(http_class_from_curl(CURLE_BAD_FUNCTION_ARGUMENT, &error), ERROR_FATAL);
}

/* Lets OpenSSL speak TLS 1.0, which Debian's configuration forbids: what is refused then is refused
 * by the daemon. OpenSSL must not have been used before. */
static void allow_old_tls(void)
{
        static const char text[] = "openssl_conf = init\n"
                                   "[init]\nssl_conf = ssl\n"
                                   "[ssl]\nsystem_default = system\n"
                                   "[system]\nMinProtocol = TLSv1\n"
                                   "CipherString = DEFAULT@SECLEVEL=0\n";
        char path[PATH_MAX];
        (void) snprintf(path, sizeof(path), "%s/openssl.cnf", test_folder());
        if (file_write(path, text, strlen(text), 0600, ERROR_IGNORED) < 0 ||
            setenv("OPENSSL_CONF", path, 1) < 0) {
                abort();
        }
}

static void servers_start(void)
{
        EVP_PKEY *keys[3];
        FOREACH_ARRAY(key, keys, ELEMENTS(keys)) {
                *key = EVP_EC_gen("P-256");
        }
        X509 *ca = make_certificate("ca", NULL, keys[0], NULL, NULL);
        X509 *server = make_certificate("server", "IP:127.0.0.1", keys[1], ca, keys[0]);
        X509 *client = make_certificate("client", NULL, keys[2], ca, keys[0]);
        char *ca_pem = to_pem(ca, NULL);
        client_cert = to_pem(client, NULL);
        client_key = to_pem(NULL, keys[2]);
        (void) snprintf(ca_path, sizeof(ca_path), "%s/ca.pem", test_folder());
        if (!ca_pem || file_write(ca_path, ca_pem, strlen(ca_pem), 0600, ERROR_IGNORED) < 0) {
                abort();
        }
        free(ca_pem);
        tls.tls = make_context(server, keys[1], ca);
        tls_old.tls = make_context(server, keys[1], ca);
        (void) SSL_CTX_set_max_proto_version(tls_old.tls, TLS1_1_VERSION);
        SSL_CTX_set_security_level(tls_old.tls, 0);
        FOREACH_ARRAY(key, keys, ELEMENTS(keys)) {
                EVP_PKEY_free(*key);
        }
        X509_free(ca);
        X509_free(server);
        X509_free(client);
        (void) snprintf(socket_path, sizeof(socket_path), "%s/socket", test_folder());
        loopback_start_unix(&local, socket_path);
        loopback_start_tcp(&plain);
        loopback_start_tcp(&tls);
        loopback_start_tcp(&tls_old);
}

int main(void)
{
        Error err = {};
        allow_old_tls();
        if (http_init(&err) < 0) {
                (void) fprintf(stderr, "%s\n", err.message);
                return EXIT_FAILURE;
        }
        servers_start();
        test_case("status, body, headers and date of a reply", test_reply);
        test_case("interim, chunked, HEAD, redirect and many-headed replies", test_reply_forms);
        test_case("what is sent is what was given", test_request);
        test_case("cut, empty, foreign and flooding replies fail", test_failures);
        test_case("a reply past its maximum fails", test_reply_max);
        test_case("nobody listens, and wrong addresses", test_nobody);
        test_case("a socket in the file system", test_unix_socket);
        test_case("a proxy in the environment is ignored", test_proxy);
        test_case("connections are reused, per thread", test_reuse);
        test_case("a timeout ends it and says what was missing", test_timeout);
        test_case("a stop request ends it at once", test_stop);
        test_case("a client certificate from memory", test_tls);
        test_case("a TLS session is resumed by another thread", test_resumption);
        test_case("wrong authority, name, version or file", test_tls_refusals);
        test_case("every curl code has a class and an errno", test_classes);
        free(client_cert);
        free(client_key);
        http_done();
        Server *servers[] = { &local, &plain, &tls, &tls_old };
        FOREACH_ARRAY(server, servers, ELEMENTS(servers)) {
                loopback_stop(*server);
        }
        connections_join();
        SSL_CTX_free(tls.tls);
        SSL_CTX_free(tls_old.tls);
        return test_done();
}
