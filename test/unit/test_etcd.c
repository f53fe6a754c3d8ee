/* SPDX-License-Identifier: Apache-2.0 */
#include "host/etcd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"
#include "harness.h"
#include "host/http.h"
#include "local_daemon.h"
#include "loopback_server.h"

/* Against a real etcd with TLS for its clients (ETCD and ETCDCTL name other programs), as the
 * master runs it. What that takes: the server's certificate is its gateway's client certificate
 * too, so it needs both usages and no common name; nor may the certificate that we show to the
 * gateway have one. */

#define ROOT_PASSWORD "a\"b\\c"
#define PREFIX        "/coreos.com/network/"
#define PREFIX_END    "/coreos.com/network0"

static const char *etcd_program, *etcdctl_program;
static char endpoint[64], ca_path[128], local_url[64];
static char *client_cert, *client_key;
static int peer_port;
static Daemon etcd;

static const char pki[] =
        "set -e; cd %s\n"
        "new() { openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $1.key"
        " -subj \"$2\" \"$3\" \"$4\" -out $1.$5 -batch 2>/dev/null; }\n"
        "sign() { echo \"$2\" > $1.ext; openssl x509 -req -in $1.csr -CA ca.crt -CAkey ca.key"
        " -CAcreateserial -extfile $1.ext -out $1.crt 2>/dev/null; }\n"
        "new ca /CN=ca -x509 -sha256 crt\n"
        "new server / -new -sha256 csr\n"
        "sign server \"extendedKeyUsage=serverAuth,clientAuth\nsubjectAltName=IP:127.0.0.1\"\n"
        "new master /O=master -new -sha256 csr; sign master extendedKeyUsage=clientAuth\n"
        "for name in flanneld stranger; do\n"
        "  new $name /CN=$name -new -sha256 csr; sign $name extendedKeyUsage=clientAuth; done\n";

static char *read_pem(const char *name)
{
        char path[256];
        Error err = {};
        Buffer pem = {};
        (void) snprintf(path, sizeof(path), "%s/%s", test_folder(), name);
        CHECK_OK(file_read(path, 65536, &pem, &err), err);
        return buffer_take(&pem);
}

static EtcdClient client_of(const char *user, const char *password)
{
        return (EtcdClient) { .endpoint = endpoint,
                              .tls = { ca_path, client_cert, client_key },
                              .user = user,
                              .password = password };
}

/* Bound for a moment to learn of a port that nobody has. */
static int free_port(void)
{
        struct sockaddr_in address = { .sin_family = AF_INET,
                                       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t size = sizeof(address);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        CHECK(bind(fd, (struct sockaddr *) &address, size) == 0 &&
              getsockname(fd, (struct sockaddr *) &address, &size) == 0);
        (void) close(fd);
        return ntohs(address.sin_port);
}

static void start_etcd(void)
{
        Error err = {};
        Wait wait = test_patience();
        _cleanup_etcd_client_ EtcdClient client = client_of(NULL, NULL);
        daemon_start(&etcd,
                     "cd %s && exec %s --data-dir data --listen-client-urls %s "
                     "--advertise-client-urls %s --listen-peer-urls http://127.0.0.1:%d "
                     "--initial-advertise-peer-urls http://127.0.0.1:%d "
                     "--initial-cluster default=http://127.0.0.1:%d --cert-file server.crt "
                     "--key-file server.key --trusted-ca-file ca.crt --client-cert-auth "
                     ">> etcd.log 2>&1",
                     test_folder(), etcd_program, endpoint, endpoint, peer_port, peer_port,
                     peer_port);
        while (etcd_is_healthy(&client, &wait, &err) != 1 && wait_sleep(&wait, 50, &err) == 0) {
                ;
        }
        CHECK_INT(etcd_is_healthy(&client, &wait, &err), 1);
}

/* etcdctl with the certificate of that name: what it said, and whether it succeeded. */
static bool etcdctl(const char *name, const char *command, Buffer *ret)
{
        char script[1024];
        Error err = {};
        Wait wait = test_patience();
        _cleanup_process_result_ ProcessResult result = {};
        (void) snprintf(script, sizeof(script),
                        "exec 2>&1; cd %s && export ETCDCTL_API=3; %s --endpoints %s --cacert "
                        "ca.crt --cert %s.crt "
                        "--key %s.key --command-timeout 10s %s",
                        test_folder(), etcdctl_program, endpoint, name, name, command);
        const char *argv[] = { "/bin/sh", "-c", script, NULL };
        ProcessOptions options = { .argv = argv };
        buffer_done(ret);
        CHECK_OK(process_run(&options, &wait, &result, &err), err);
        CHECK_INT(buffer_append_string(ret, result.output.data ? result.output.data : ""), 0);
        return result.exit_status == 0;
}

static const Answer odd_answers[] = {
        { "/odd/v3/kv/range ", "HTTP/1.1 200 OK\r\nContent-Length: 38\r\n\r\n"
                               "{\"kvs\":[{\"key\":\"YQ==\",\"value\":\"!!!!\"}]}" },
        { "/text/v3/kv/range ", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi" },
        { "/old/v3/kv/range ", "HTTP/1.1 404 None\r\nContent-Length: 9\r\n\r\nNot Found" },
        { "/down/v3/kv/range ", "HTTP/1.1 503 Unavailable\r\nContent-Length: 43\r\n\r\n"
                                "{\"error\":\"etcdserver: no leader\",\"code\":14}" },
        { "/down/health ", "HTTP/1.1 503 Unavailable\r\nContent-Length: 18\r\n\r\n"
                           "{\"health\":\"false\"}" },
        {},
};

static void test_bad_replies(void)
{
        Error err = {};
        Wait wait = test_patience();
        char url[128];
        EtcdClient client = { .endpoint = url };
        _cleanup_buffer_ Buffer value = {};
        static const struct {
                const char *path;
                int result;
                ErrorClass class;
        } cases[] = {
                { "odd", -EBADMSG, ERROR_RETRY },
                { "text", -EBADMSG, ERROR_RETRY },
                { "old", -EOPNOTSUPP, ERROR_CONFIG },
                { "down", -EAGAIN, ERROR_RETRY },
        };
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                (void) snprintf(url, sizeof(url), "%s/%s", local_url, c->path);
                CHECK_INT(etcd_get(&client, "a", &wait, &value, &err), c->result);
                CHECK_INT(err.class, c->class);
        }
        CHECK_CONTAINS(err.message, "etcd kv/range: etcdserver: no leader (code 14)");
        CHECK_INT(etcd_is_healthy(&client, &wait, &err), 0);
        (void) snprintf(url, sizeof(url), "http://127.0.0.1:%d", free_port());
        CHECK_INT(etcd_is_healthy(&client, &wait, &err), 0);
        CHECK_INT(etcd_get(&client, "a", &wait, &value, &err), -ECONNREFUSED);
}

static void test_start(void)
{
        char path[2048];
        (void) snprintf(path, sizeof(path), pki, test_folder());
        REQUIRE(shell("%s", path) == 0);
        (void) snprintf(ca_path, sizeof(ca_path), "%s/ca.crt", test_folder());
        client_cert = read_pem("master.crt");
        client_key = read_pem("master.key");
        (void) snprintf(endpoint, sizeof(endpoint), "https://127.0.0.1:%d", free_port());
        peer_port = free_port();
        start_etcd();
}

static void check_value(EtcdClient *client, const char *key, const char *expected)
{
        Error err = {};
        Wait wait = test_patience();
        _cleanup_buffer_ Buffer value = {};
        CHECK_OK(etcd_get(client, key, &wait, &value, &err), err);
        CHECK_STR(value.data, expected);
}

static int collect(const char *key, const char *value, void *userdata, Error *err)
{
        if (streq(value, "stop")) {
                return error_set(err, ERROR_FATAL, EDOM, "told to stop");
        }
        return buffer_append_format(userdata, "%s=%s;", key, value);
}

static void test_keys(void)
{
        Error err = {};
        Wait wait = test_patience();
        _cleanup_etcd_client_ EtcdClient client = client_of(NULL, NULL);
        _cleanup_buffer_ Buffer all = {}, part = {}, none = {}, ended = {};
        static const char *const pairs[][2] = {
                { "/a/1", "one" },
                { "/a/2", "" },
                { "/a0", "after" },
                { "/a", "before" },
                { "/a/\xff\xff", "x=\"\\y\n" },
        };
        check_value(&client, "/a/1", NULL);
        FOREACH_ARRAY(pair, pairs, ELEMENTS(pairs)) {
                CHECK_OK(etcd_put(&client, (*pair)[0], (*pair)[1], &wait, &err), err);
                check_value(&client, (*pair)[0], (*pair)[1]);
        }
        CHECK_OK(etcd_list(&client, "/a/", &wait, collect, &part, &err), err);
        CHECK_STR(part.data, "/a/1=one;/a/2=;/a/\xff\xff=x=\"\\y\n;");
        CHECK_OK(etcd_list(&client, "", &wait, collect, &all, &err), err);
        CHECK_STR(all.data, "/a=before;/a/1=one;/a/2=;/a/\xff\xff=x=\"\\y\n;/a0=after;");
        CHECK_OK(etcd_list(&client, "/none/", &wait, collect, &none, &err), err);
        CHECK_STR(none.data, NULL);
        CHECK_OK(etcd_put(&client, "/a/2", "stop", &wait, &err), err);
        CHECK_INT(etcd_list(&client, "/a/", &wait, collect, &ended, &err), -EDOM);
        CHECK_STR(ended.data, "/a/1=one;");
}

static void test_list_limit(void)
{
        Error err = {};
        Wait wait = test_patience();
        _cleanup_etcd_client_ EtcdClient client = client_of(NULL, NULL);
        _cleanup_buffer_ Buffer all = {};
        int r = 0;
        for (int i = 0; i < 5001 && r == 0; i++) {
                char key[32];
                (void) snprintf(key, sizeof(key), "/many/%d", i);
                r = etcd_put(&client, key, "v", &wait, &err);
        }
        CHECK_OK(r, err);
        CHECK_INT(etcd_list(&client, "/many/", &wait, collect, &all, &err), -E2BIG);
        CHECK_INT(err.class, ERROR_FATAL);
        CHECK_STR(all.data, NULL);
}

static void ensure_all(EtcdClient *root)
{
        Error err = {};
        Wait wait = test_patience();
        CHECK_OK(etcd_role_ensure(root, "root", NULL, NULL, NULL, &wait, &err), err);
        CHECK_OK(etcd_role_ensure(root, "overlay", PREFIX, PREFIX_END, "READWRITE", &wait, &err),
                 err);
        CHECK_OK(etcd_role_ensure(root, "reader", "/version", NULL, "READ", &wait, &err), err);
        CHECK_OK(etcd_user_ensure(root, "root", ROOT_PASSWORD, "root", &wait, &err), err);
        CHECK_OK(etcd_user_ensure(root, "flanneld", NULL, "overlay", &wait, &err), err);
        CHECK_OK(etcd_auth_enable(root, &wait, &err), err);
}

static void test_enable(void)
{
        Error err = {};
        Wait wait = test_patience();
        _cleanup_etcd_client_ EtcdClient root = client_of("root", ROOT_PASSWORD);
        CHECK_OK(etcd_put(&root, "/registry/secret", "s", &wait, &err), err);
        CHECK_OK(etcd_put(&root, PREFIX "config", "{}", &wait, &err), err);
        CHECK_INT(etcd_auth_is_enabled(&root, &wait, &err), 0);
        ensure_all(&root);
        CHECK_INT(etcd_auth_is_enabled(&root, &wait, &err), 1);
        check_value(&root, PREFIX "config", "{}");
        _cleanup_free_ char *token = strdup(root.token.data ? root.token.data : "");
        CHECK(root.token.wipe && *token);
        ensure_all(&root); /* changes nothing, so the token is still good */
        check_value(&root, "/registry/secret", "s");
        CHECK_STR(root.token.data, token);
}

static void test_strangers(void)
{
        Error err = {};
        Wait wait = test_patience();
        _cleanup_buffer_ Buffer value = {};
        _cleanup_etcd_client_ EtcdClient nobody = client_of(NULL, NULL);
        _cleanup_etcd_client_ EtcdClient wrong = client_of("root", "guess");
        EtcdClient bare = { .endpoint = endpoint, .tls = { .ca_file = ca_path } };
        CHECK_INT(etcd_get(&nobody, PREFIX "config", &wait, &value, &err), -EACCES);
        CHECK_INT(err.class, ERROR_DENIED);
        CHECK_INT(etcd_put(&wrong, "/x", "1", &wait, &err), -EACCES);
        CHECK_INT(err.class, ERROR_DENIED);
        CHECK(!strstr(err.message, "guess"));
        CHECK(etcd_get(&bare, "/x", &wait, &value, &err) < 0); /* no client certificate */
        CHECK(etcd_is_healthy(&bare, &wait, &err) < 0);
        CHECK_STR(value.data, NULL);
        _cleanup_free_ char *cert = read_pem("flanneld.crt"), *key = read_pem("flanneld.key");
        _cleanup_etcd_client_ EtcdClient named = client_of("root", ROOT_PASSWORD);
        named.tls.cert_pem = cert;
        named.tls.key_pem = key;
        CHECK_INT(etcd_get(&named, "/x", &wait, &value, &err), -EOPNOTSUPP);
        CHECK_INT(err.class, ERROR_CONFIG);
        CHECK_CONTAINS(err.message, "CommonName of client");
}

static void test_tokens(void)
{
        Error err = {};
        Wait wait = test_patience();
        _cleanup_etcd_client_ EtcdClient root = client_of("root", ROOT_PASSWORD);
        _cleanup_etcd_client_ EtcdClient other = client_of("root", ROOT_PASSWORD);
        check_value(&root, "/registry/secret", "s");
        _cleanup_free_ char *token = strdup(root.token.data ? root.token.data : "");
        CHECK_OK(etcd_user_ensure(&other, "more", NULL, "overlay", &wait, &err), err);
        CHECK_OK(etcd_put(&root, "/x", "1", &wait, &err), err); /* with a token of before */
        daemon_stop(&etcd);
        start_etcd();
        check_value(&root, "/x", "1"); /* with one of before the restart */
        CHECK(!streq_ptr(root.token.data, token));
}

/* A node's flanneld comes with its certificate over gRPC. */
static void test_confined(void)
{
        static const struct {
                const char *name;
                const char *command;
                const char *says;
                bool allowed;
        } cases[] = {
                { "flanneld", "get " PREFIX "config", "{}", true },
                { "flanneld", "put " PREFIX "subnets/10.244.5.0-24 1", "OK", true },
                { "flanneld", "get --prefix " PREFIX, "10.244.5.0-24", true },
                { "flanneld", "get /registry/secret", "permission denied", false },
                { "flanneld", "get --prefix /registry/", "permission denied", false },
                { "flanneld", "get --prefix ''", "permission denied", false },
                { "flanneld", "get /coreos.com/network", "permission denied", false },
                { "flanneld", "put /registry/secret x", "permission denied", false },
                { "flanneld", "del --prefix /registry/", "permission denied", false },
                { "flanneld", "user add me --no-password", "permission denied", false },
                { "flanneld", "snapshot save all.db", "permission denied", false },
                { "flanneld", "watch --prefix /registry/", "permission denied", false },
                { "flanneld", "member remove 1", "permission denied", false },
                { "flanneld", "role grant-permission overlay --prefix=true readwrite /registry/",
                  "permission denied", false },
                { "flanneld", "auth disable", "permission denied", false },
                { "stranger", "get " PREFIX "config", "permission denied", false },
        };
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                _cleanup_buffer_ Buffer said = {};
                if (etcdctl(c->name, c->command, &said) != c->allowed ||
                    !strstr(said.data, c->says)) {
                        test_fail(__FILE__, __LINE__, "%s: %s: %s", c->name, c->command, said.data);
                }
        }
        _cleanup_etcd_client_ EtcdClient root = client_of("root", ROOT_PASSWORD);
        check_value(&root, "/registry/secret", "s");
}

static const char *program_of(const char *variable, const char *path)
{
        const char *other = getenv(variable);
        return other ? other : path;
}

int main(void)
{
        static const TestCase cases[] = {
                { "etcd is waited for", test_start },
                { "keys are put, got and listed", test_keys },
                { "a list has a limit", test_list_limit },
                { "users, roles and authentication, twice", test_enable },
                { "who has no certificate, name or password is refused", test_strangers },
                { "stale tokens are renewed", test_tokens },
                { "a certificate's user sees the overlay's keys only", test_confined },
        };
        Error err = {};
        static Server local = { .answers = odd_answers };
        etcd_program = program_of("ETCD", "/usr/bin/etcd");
        etcdctl_program = program_of("ETCDCTL", "/usr/bin/etcdctl");
        bool real = access(etcd_program, X_OK) == 0 && access(etcdctl_program, X_OK) == 0 &&
                    access("/usr/bin/openssl", X_OK) == 0;
        if (http_init(&err) < 0) {
                return EXIT_FAILURE;
        }
        loopback_start_tcp(&local);
        (void) snprintf(local_url, sizeof(local_url), "http://127.0.0.1:%d", local.port);
        test_case("nobody there, errors and odd replies", test_bad_replies);
        test_chain(real ? NULL : "needs etcd, etcdctl and openssl", cases, ELEMENTS(cases));
        if (real) {
                daemon_stop(&etcd);
        }
        free(client_cert);
        free(client_key);
        http_done();
        loopback_stop(&local);
        connections_join();
        return test_done();
}
