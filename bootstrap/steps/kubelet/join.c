/* SPDX-License-Identifier: Apache-2.0 */
#include "steps/kubelet/join.h"

#include <errno.h>
#include <glob.h>
#include <stdio.h>

#include "base/file.h"
#include "cluster/certificate.h"
#include "steps/services/service.h"

#define CERTIFICATE_BYTES_MAX ((size_t) 64 << 10)

/* A certificate that expires within this time does not count. */
#define CERTIFICATE_LEFT_S 60

/* kubelet names its files after the time when it got them, and keeps them all:
 * https://github.com/kubernetes/client-go/blob/v0.32.0/util/certificate/certificate_store.go */
#define CERTIFICATE_FILES KUBELET_CERTS "/kubelet-client-[0-9]*.pem"
#define CERTIFICATE_NAME  "kubelet-client-%Y-%m-%d-%H-%M-%S.pem"

static int read_certificate(const char *path, X509 **ret, Error *err)
{
        _cleanup_secret_ Secret pem = SECRET_INIT; /* kubelet's file holds its key as well */
        int r = file_read(path, CERTIFICATE_BYTES_MAX, &pem, err);
        return r < 0 ? r : certificate_from_pem(pem.data, pem.size, ret, err);
}

/* Returns 1 if the certificate is this machine's, and valid. */
static int is_ours(const Boot *boot, X509 *certificate, X509 *authority, StepContext *context,
                   Error *err)
{
        _cleanup_certificate_info_ CertificateInfo info = {};
        char name[NODE_USER_MAX];
        /* The clock of the API server counts, which checks the certificate: on a master it is this
         * machine's, which the certificate was made by as well. */
        time_t now = boot->config.role == ROLE_MASTER ? time(NULL) : aws_client_time(boot->aws);
        int r = certificate_inspect(certificate, &info, err);
        if (r < 0) {
                return r;
        }
        node_name_user(boot->node_name, name);
        if (!streq(info.common_name, name)) {
                step_not_yet(context, "kubelet's certificate is of %s, expected %s",
                             info.common_name, name);
                return 0;
        }
        if (info.not_before > now || info.not_after <= now + CERTIFICATE_LEFT_S) {
                step_not_yet(context, "kubelet's certificate %s",
                             info.not_before > now ? "is not valid yet" : "expires or has expired");
                return 0;
        }
        if (!certificate_is_signed_by(certificate, authority)) {
                step_not_yet(context, "kubelet's certificate is by another authority");
                return 0;
        }
        return 1;
}

int join_has_certificate(const Boot *boot, StepContext *context, Error *err)
{
        _cleanup_x509_ X509 *certificate = NULL, *authority = NULL;
        int r = read_certificate(KUBELET_CLIENT_PEM, &certificate, err);
        if (r == -ENOENT || r == -EBADMSG) { /* no file, or one that kubelet could not use */
                step_not_yet(context, "kubelet has no certificate");
                return 0;
        }
        if (r >= 0) {
                r = read_certificate(SECRETS_DIR "/ca.crt", &authority, err);
        }
        return r < 0 ? r : is_ours(boot, certificate, authority, context, err);
}

/* Finds kubelet's certificates, in the order of their time; none is no error. The caller calls
 * globfree(). */
static int find_certificates(glob_t *ret, Error *err)
{
        int r = glob(CERTIFICATE_FILES, 0, NULL, ret); /* sorted */
        return r == 0 || r == GLOB_NOMATCH
                       ? 0
                       : error_set(err, ERROR_RETRY, EIO, "cannot read " KUBELET_CERTS);
}

int join_began_with_certificate(const struct timespec *since, Error *err)
{
        glob_t found = {};
        int r = find_certificates(&found, err);
        if (r >= 0 && found.gl_pathc > 0) {
                r = service_is_older_than(since, found.gl_pathv[0], err);
        }
        globfree(&found);
        return r < 0 ? r : r == 0;
}

int join_clamp_certificate(Error *err)
{
        glob_t found = {};
        int r = find_certificates(&found, err);
        if (r >= 0 && found.gl_pathc > 0) {
                r = file_clamp_time(found.gl_pathv[0], err);
        }
        globfree(&found);
        return r < 0 ? r : 0;
}

int join_install(const Secret *pem, Error *err)
{
        char name[64], path[sizeof(KUBELET_CERTS) + 64];
        struct tm tm;
        time_t now = time(NULL);
        glob_t found = {};
        int r = file_make_directory(KUBELET_CERTS, 0700, err);
        if (r >= 0) {
                r = find_certificates(&found, err);
        }
        /* the oldest file tells whether kubelet must be restarted: it must be this one */
        for (size_t i = 0; r >= 0 && i < found.gl_pathc; i++) {
                r = file_remove(found.gl_pathv[i], err);
        }
        globfree(&found);
        if (r < 0) {
                return r;
        }
        (void) strftime(name, sizeof(name), CERTIFICATE_NAME, gmtime_r(&now, &tm));
        (void) snprintf(path, sizeof(path), KUBELET_CERTS "/%s", name);
        r = file_write(path, pem->data, pem->size, 0600, err);
        return r < 0 ? r : file_link(name, KUBELET_CLIENT_PEM, err);
}
