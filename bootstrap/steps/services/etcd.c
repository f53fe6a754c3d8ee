/* SPDX-License-Identifier: Apache-2.0 */
#include "steps/services/etcd.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <unistd.h>

#include "base/file.h"
#include "host/docker.h"
#include "host/journal.h"
#include "steps/services/service.h"

/* etcd: runs in docker-bootstrap, with its data on the volume. It is a cluster of one member, and
 * the volume carries it from one master to the next.
 * https://etcd.io/docs/v3.4/op-guide/configuration/ */

#define ETCD_CERTS "/etc/etcd"

static const ContainerMount etcd_mounts[] = {
        { MASTER_ETCD_DATA, "/var/lib/etcd", false },
        { SECRETS_DIR "/etcd-ca.crt", ETCD_CERTS "/ca.crt", true },
        { SECRETS_DIR "/etcd-server.crt", ETCD_CERTS "/server.crt", true },
        { SECRETS_DIR "/etcd-server.key", ETCD_CERTS "/server.key", true },
};

/* The arguments that depend on this machine. */
typedef struct EtcdContainer {
        char listen[128], advertise[64];
        const char *argv[24];
        Container container;
} EtcdContainer;

/* With docker, flanneld of each node is a client of etcd. With containerd, the API server is the
 * only one. */
static void etcd_describe_address(const Boot *boot, EtcdContainer *ret)
{
        char ip[INET_ADDRSTRLEN] = "127.0.0.1", other[sizeof("," ETCD_URL) + INET_ADDRSTRLEN] = "";
        if (boot->images.runtime == RUNTIME_DOCKER) {
                (void) inet_ntop(AF_INET, &boot->config.master_private_ip, ip, sizeof(ip));
                (void) snprintf(other, sizeof(other), "," ETCD_URL, ip);
        }
        (void) snprintf(ret->advertise, sizeof(ret->advertise), "--advertise-client-urls=" ETCD_URL,
                        ip);
        (void) snprintf(ret->listen, sizeof(ret->listen), "--listen-client-urls=" ETCD_URL "%s",
                        "127.0.0.1", other);
}

static void etcd_describe(const Boot *boot, EtcdContainer *ret)
{
        etcd_describe_address(boot, ret);
        const char *const argv[] = {
                "etcd",
                "--name=master",
                "--data-dir=/var/lib/etcd",
                ret->listen,
                ret->advertise,
                /* no peers, but etcd insists on the port: it is on the loopback */
                "--listen-peer-urls=https://127.0.0.1:2380",
                "--initial-advertise-peer-urls=https://127.0.0.1:2380",
                "--initial-cluster=master=https://127.0.0.1:2380",
                "--client-cert-auth",
                "--trusted-ca-file=" ETCD_CERTS "/ca.crt",
                "--cert-file=" ETCD_CERTS "/server.crt",
                "--key-file=" ETCD_CERTS "/server.key",
                "--peer-client-cert-auth",
                "--peer-trusted-ca-file=" ETCD_CERTS "/ca.crt",
                "--peer-cert-file=" ETCD_CERTS "/server.crt",
                "--peer-key-file=" ETCD_CERTS "/server.key",
                /* The lowest cost. The kernel draws the passwords, so nobody can guess them; at
                 * etcd's own cost of 10, a thousand nodes that log in twice a minute keep a core or
                 * two busy. */
                "--bcrypt-cost=4",
                NULL,
        };
        static_assert(sizeof(argv) <= sizeof(ret->argv), "argv fits");
        memcpy(ret->argv, argv, sizeof(argv));
        ret->container = (Container) {
                .name = "etcd",
                .image = boot->images.etcd,
                .argv = ret->argv,
                .mounts = etcd_mounts,
                .n_mounts = ELEMENTS(etcd_mounts),
                .read_only_root = true,
        };
}

int etcd_open(const Boot *boot, const char *user, const char *password_file, EtcdSession *ret,
              Error *err)
{
        const char *host = "127.0.0.1";
        char ip[INET_ADDRSTRLEN];
        if (boot->config.role == ROLE_NODE) {
                (void) inet_ntop(AF_INET, &boot->config.master_private_ip, ip, sizeof(ip));
                host = ip;
        }
        (void) snprintf(ret->endpoint, sizeof(ret->endpoint), ETCD_URL, host);
        ret->certificate = ret->key = ret->password = SECRET_INIT;
        int r = file_read(SECRETS_DIR "/etcd-gateway.crt", 65536, &ret->certificate, err);
        if (r >= 0) {
                r = file_read(SECRETS_DIR "/etcd-gateway.key", 65536, &ret->key, err);
        }
        if (r >= 0 && password_file) {
                r = file_read(password_file, 1024, &ret->password, err);
        }
        if (r < 0) {
                return r;
        }
        if (password_file) {
                string_strip_end(ret->password.data);
        }
        ret->client = (EtcdClient) {
                .endpoint = ret->endpoint,
                .tls = { .ca_file = SECRETS_DIR "/etcd-ca.crt",
                         .cert_pem = ret->certificate.data,
                         .key_pem = ret->key.data },
                .user = user,
                .password = password_file ? ret->password.data : NULL,
                .token = SECRET_INIT,
        };
        return 0;
}

void etcd_session_done(EtcdSession *session)
{
        etcd_client_done(&session->client);
        buffer_done(&session->certificate);
        buffer_done(&session->key);
        buffer_done(&session->password);
}

static int etcd_answers(void *userdata, StepContext *context, Error *err)
{
        const Boot *boot = userdata;
        _cleanup_etcd_session_ EtcdSession session = {};
        int r = etcd_open(boot, NULL, NULL, &session, err);
        if (r >= 0) {
                r = etcd_is_healthy(&session.client, step_wait(context), err);
        }
        if (r == 0) {
                service_not_yet(UNIT_ETCD, "etcd does not say that it is healthy", context);
        }
        return r;
}

int etcd_probe(void *userdata, StepContext *context, Error *err)
{
        Boot *boot = userdata;
        EtcdContainer etcd;
        etcd_describe(boot, &etcd);
        int marked = etcd_look_at_data(boot, err);
        if (marked < 0) {
                return marked;
        }
        int r = service_container_runs(UNIT_ETCD, &etcd.container, context, err);
        if (r <= 0) {
                return r;
        }
        r = etcd_answers(boot, context, err);
        if (r > 0 && !marked) {
                step_not_yet(context, MASTER_IDENTITY_FILE " does not say yet that etcd has run");
        }
        return r <= 0 ? r : marked;
}

int etcd_apply(void *userdata, StepContext *context, Error *err)
{
        Boot *boot = userdata;
        EtcdContainer etcd;
        etcd_describe(boot, &etcd);
        int r = etcd_look_at_data(boot, err); /* again: the probe may be long ago */
        if (r >= 0) {
                r = file_make_directory(MASTER_ETCD_DATA, 0700, err);
        }
        if (r >= 0) { /* the unit is bound to the mount, which PID 1 notices a little later */
                r = service_await(UNIT_MASTER_MOUNT, context, err);
        }
        if (r < 0) {
                return r;
        }
        r = service_container_start(UNIT_ETCD, &etcd.container, context, err);
        if (r < 0) {
                return r;
        }
        /* etcd's port opens once etcd has read its store; nothing else tells of that */
        r = step_await(context, etcd_answers, boot, service_looks, 0, err);
        if (r == -ETIMEDOUT) {
                (void) error_prefix(err, "etcd is not healthy");
                return journal_explain(UNIT_ETCD, err);
        }
        return r < 0 ? r : etcd_mark_data(err);
}
