/* SPDX-License-Identifier: Apache-2.0 */
#include "steps/kubelet/join.h"

#include <errno.h>
#include <sys/stat.h>

#include "base/file.h"
#include "cluster/certificate.h"
#include "cluster/join.h"
#include "cluster/kubeconfig.h"
#include "steps/api.h"
#include "steps/bucket.h"

/* This machine's half of joining: the token and the certificate of its kubelet. */

#define CERTIFICATE_BYTES_MAX ((size_t) 64 << 10)

/* Longer than the time that the master lets a request wait (CSR_PATIENCE_S), so that no request is
 * given up too early. */
#define JOIN_TRY_S 400

/* A certificate that expires within this time does not count. */
#define CERTIFICATE_LEFT_S 60

static int read_certificate(const char *path, X509 **ret, Error *err)
{
        _cleanup_secret_ Secret pem = SECRET_INIT; /* kubelet's file holds its key as well */
        int r = file_read(path, CERTIFICATE_BYTES_MAX, &pem, err);
        return r < 0 ? r : certificate_from_pem(pem.data, pem.size, ret, err);
}

int join_has_certificate(Error *err)
{
        _cleanup_x509_ X509 *certificate = NULL, *authority = NULL;
        _cleanup_certificate_info_ CertificateInfo info = {};
        int r = read_certificate(KUBELET_CLIENT_PEM, &certificate, err);
        if (r == -ENOENT || r == -EBADMSG) { /* no file, or one that kubelet could not use */
                return 0;
        }
        if (r >= 0) {
                r = read_certificate(SECRETS_DIR "/ca.crt", &authority, err);
        }
        if (r >= 0) {
                r = certificate_inspect(certificate, &info, err);
        }
        if (r < 0) {
                return r;
        }
        time_t now = time(NULL);
        return info.not_before <= now && info.not_after > now + CERTIFICATE_LEFT_S &&
               certificate_is_signed_by(certificate, authority);
}

int join_local_token(JoinToken *ret, Error *err)
{
        _cleanup_secret_ Secret text = SECRET_INIT;
        int r = file_read(JOIN_FILE, JOIN_DOCUMENT_BYTES_MAX, &text, err);
        if (r == -ENOENT || r == -EFBIG) {
                return 0;
        }
        if (r < 0) {
                return r;
        }
        r = join_document_parse(text.data, text.size, ret, err);
        if (r == -EBADMSG) {
                return 0;
        }
        return r < 0 ? r : 1;
}

/* Returns for how many seconds JOIN_FILE may still be tried. A fetched token that has led to no
 * certificate by then is perhaps refused, and the bucket may have a better one by now. No limit on
 * a master: the API server knows the master's own token for as long as it lives. */
static int try_left(const Boot *boot, time_t now, time_t *ret_s, Error *err)
{
        struct stat st;
        if (boot->config.role != ROLE_NODE) {
                *ret_s = JOIN_TRY_S;
                return 0;
        }
        if (stat(JOIN_FILE, &st) < 0) {
                return error_errno(err, errno, "stat %s", JOIN_FILE);
        }
        *ret_s = st.st_mtime + JOIN_TRY_S - now;
        return 0;
}

int join_local_left(const Boot *boot, time_t *ret_s, Error *err)
{
        _cleanup_join_token_ JoinToken token = {};
        time_t now = time(NULL), try_s = 0;
        *ret_s = 0;
        int r = join_local_token(&token, err);
        if (r <= 0) {
                return r;
        }
        r = try_left(boot, now, &try_s, err);
        if (r < 0) {
                return r;
        }
        time_t alive_s = join_token_left_s(&token, now);
        *ret_s = alive_s < try_s ? alive_s : try_s;
        return *ret_s > 0;
}

int join_local_probe(const Boot *boot, Error *err)
{
        time_t left_s;
        int r = join_has_certificate(err);
        return r != 0 ? r : join_local_left(boot, &left_s, err);
}

static int write_token(const JoinToken *token, Error *err)
{
        _cleanup_secret_ Secret text = SECRET_INIT;
        int r = join_document_format(token, &text, err);
        return r < 0 ? r : file_write(JOIN_FILE, text.data, text.size, 0600, err);
}

int join_ensure_local(Boot *boot, StepContext *context, Error *err)
{
        (void) context;
        _cleanup_join_token_ JoinToken token = {};
        time_t now = time(NULL);
        int r = join_local_token(&token, err);
        if (r < 0 || (r > 0 && join_token_is_fresh(&token, now, boot->config.join_token_s))) {
                return r < 0 ? r : 0;
        }
        r = join_token_new(now, boot->config.join_token_s, &token, err);
        return r < 0 ? r : write_token(&token, err);
}

int join_get_object(const Boot *boot, StepContext *context, JoinToken *ret, Error *err)
{
        _cleanup_secret_ Secret text = SECRET_INIT;
        int r = bucket_get(boot, context, JOIN_OBJECT, JOIN_DOCUMENT_BYTES_MAX, &text, NULL, err);
        if (r <= 0) {
                return r;
        }
        r = join_document_parse(text.data, text.size, ret, err);
        if (r == -EBADMSG) {
                return 0;
        }
        return r < 0 ? r : 1;
}

/* Returns 1 once there is a token (or a certificate) here, 0 while the master has left no valid
 * token. */
static int take_token(void *userdata, StepContext *context, Error *err)
{
        Boot *boot = userdata;
        _cleanup_join_token_ JoinToken token = {};
        int r = join_local_probe(boot, err);
        if (r != 0) {
                return r;
        }
        r = join_get_object(boot, context, &token, err);
        if (r < 0) {
                return r;
        }
        if (r > 0 && join_token_is_alive(&token, time(NULL))) {
                r = write_token(&token, err);
                return r < 0 ? r : 1;
        }
        step_waiting_for(context, "the master to leave a join token that is %s",
                         r > 0 ? "not expired" : "there");
        return 0;
}

int join_fetch(Boot *boot, StepContext *context, Error *err)
{
        int r = step_await(context, take_token, boot, bucket_looks, 0, err);
        return r < 0 ? r : 0;
}

int join_render_bootstrap_kubeconfig(const Boot *boot, Secret *ret, Error *err)
{
        char server[API_SERVER_MAX];
        _cleanup_join_token_ JoinToken token = {};
        int r = join_local_token(&token, err);
        if (r == 0) {
                return error_set(err, ERROR_RETRY, ENOENT, "there is no join token in %s",
                                 JOIN_FILE);
        }
        if (r < 0) {
                return r;
        }
        api_server(boot, server);
        /* the authority is named as a file: kubelet makes its own kubeconfig from this one, and so
         * that kubeconfig follows the file too */
        return kubeconfig_format_bootstrap(server, KUBELET_AUTHORITY, &token, ret, err);
}
