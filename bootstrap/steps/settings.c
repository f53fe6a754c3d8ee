/* SPDX-License-Identifier: Apache-2.0 */
#include "steps/settings.h"

#include <arpa/inet.h>
#include <errno.h>
#include <unistd.h>

#include "base/file.h"
#include "cluster/certificate.h"
#include "cluster/overlay.h"
#include "cluster/pki.h"
#include "config/images.h"
#include "steps/volume/volume_identity.h"

#define CERTIFICATE     SECRETS_DIR "/apiserver.crt"
#define CERTIFICATE_MAX ((size_t) 64 << 10)

ClusterSettings settings_of(const StackConfig *config)
{
        ClusterSettings settings = {};
        network_format(config->overlay_network, settings.overlay_network);
        (void) snprintf(settings.overlay_backend, sizeof(settings.overlay_backend), "%s",
                        config->overlay_backend);
        network_format(config->service_network, settings.service_network);
        (void) snprintf(settings.cluster_domain, sizeof(settings.cluster_domain), "%s",
                        config->cluster_domain);
        if (!streq(config->container_runtime, "docker")) { /* which is the meaning of none */
                (void) snprintf(settings.container_runtime, sizeof(settings.container_runtime),
                                "%s", config->container_runtime);
        }
        return settings;
}

/* Returns "FILE:9: KEY=value", or "FILE: KEY=value (the default)". The caller frees it; NULL when
 * out of memory. */
static char *name_setting(const StackConfig *config, const char *key, const char *value)
{
        unsigned line = stack_config_line(config, key);
        return line > 0 ? string_format("%s:%u: %s=%s", STACK_CONFIG_PATH, line, key, value)
                        : string_format("%s: %s=%s (the default)", STACK_CONFIG_PATH, key, value);
}

/* Appends the refusal of one value. */
static int refuse_difference(const StackConfig *config, const SettingsDifference *d,
                             const char *where, StringList *problems)
{
        if (streq(d->key, "CONTAINER_RUNTIME")) { /* the AMI's, whatever the file says */
                return string_list_append_format(
                        problems,
                        "this AMI carries %s (" IMAGES_PATH "), but this cluster was made with %s "
                        "(%s) and keeps it: launch an AMI with %s, for every machine; %s needs a "
                        "new cluster",
                        d->given, d->recorded, where, d->recorded, d->given);
        }
        _cleanup_free_ char *setting = name_setting(config, d->key, d->given);
        return setting ? string_list_append_format(
                                 problems,
                                 "%s, but this cluster was made with %s=%s (%s) and keeps it: "
                                 "write %s=%s there, for every machine; another value needs a new "
                                 "cluster",
                                 setting, d->key, d->recorded, where, d->key, d->recorded)
                       : -ENOMEM;
}

int settings_check(const StackConfig *config, const ClusterSettings *recorded, const char *where,
                   Error *err)
{
        SettingsDifference differences[SETTINGS_MAX];
        const ClusterSettings given = settings_of(config);
        size_t n = settings_compare(recorded, &given, differences);
        _cleanup_string_list_ StringList problems = {};
        FOREACH_ARRAY(d, differences, n) {
                if (refuse_difference(config, d, where, &problems) < 0) {
                        return error_oom(err);
                }
        }
        return n > 0 ? stack_config_refuse(&problems, err) : 0;
}

int settings_check_volume(const StackConfig *config, const LineageScene *scene, Error *err)
{
        return lineage_settings_are_fixed(scene)
                       ? settings_check(config, &scene->identity->settings, MASTER_IDENTITY_FILE,
                                        err)
                       : 0;
}

/* Reads the alternative names of the certificate in use. Returns 1, or 0 if there is no certificate
 * yet. */
static int settings_read_names(CertificateInfo *ret, Error *err)
{
        _cleanup_buffer_ Buffer pem = {};
        _cleanup_x509_ X509 *certificate = NULL;
        if (access(CERTIFICATE, F_OK) < 0 && errno == ENOENT) {
                return 0;
        }
        int r = file_read(CERTIFICATE, CERTIFICATE_MAX, &pem, err);
        if (r >= 0) {
                r = certificate_from_pem(pem.data, pem.size, &certificate, err);
        }
        if (r >= 0) {
                r = certificate_inspect(certificate, ret, err);
        }
        return r < 0 ? error_prefix(err, CERTIFICATE) : 1;
}

/* Warns if the certificate lacks KIND:VALUE. `setting` says who wants it. */
static int warn_of_name(StepContext *context, const CertificateInfo *info, const char *kind,
                        const char *value, const char *setting, Error *err)
{
        _cleanup_free_ char *name = string_format("%s:%s", kind, value);
        if (!name) {
                return error_oom(err);
        }
        if (!string_list_contains(&info->names, name)) {
                step_warn(context,
                          "%s is not in the API server's certificate: it applies at a cluster's "
                          "creation only, and clients refuse the API server under it",
                          setting);
        }
        return 0;
}

int settings_warn_of_names(const StackConfig *config, StepContext *context, Error *err)
{
        _cleanup_certificate_info_ CertificateInfo info = {};
        char address[INET_ADDRSTRLEN], text[300];
        int r = settings_read_names(&info, err);
        if (r <= 0) {
                return r;
        }
        (void) inet_ntop(AF_INET, &config->master_private_ip, address, sizeof(address));
        (void) snprintf(text, sizeof(text), "MASTER_PRIVATE_IP=%s", address);
        r = warn_of_name(context, &info, "IP", address, text, err);
        if (r >= 0 && !isempty(config->api_dns_name)) {
                (void) snprintf(text, sizeof(text), "API_DNS_NAME=%s", config->api_dns_name);
                r = warn_of_name(context, &info, "DNS", config->api_dns_name, text, err);
        }
        return r;
}

int settings_warn_of_address(StepContext *context, const char *public_ip, Error *err)
{
        _cleanup_certificate_info_ CertificateInfo info = {};
        char text[64];
        int r = settings_read_names(&info, err);
        if (r <= 0) {
                return r;
        }
        (void) snprintf(text, sizeof(text), "the Elastic IP %s", public_ip);
        return warn_of_name(context, &info, "IP", public_ip, text, err);
}

/* Appends the certificate's names of this kind: "10.0.0.1, 172.20.128.9" and so on. */
static int list_names(const CertificateInfo *info, const char *kind, Buffer *ret)
{
        size_t n = strlen(kind);
        for (size_t i = 0; i < info->names.n; i++) {
                const char *name = info->names.items[i];
                if (strncmp(name, kind, n) == 0 && name[n] == ':' &&
                    buffer_append_format(ret, "%s%s", ret->size > 0 ? ", " : "", name + n + 1) <
                            0) {
                        return -ENOMEM;
                }
        }
        return 0;
}

/* A name that the certificate must have, and the setting that it follows from. */
typedef struct Wanted {
        const char *kind, *name;
        const char *key, *value;
        const char *hint;
} Wanted;

static int refuse_without(const StackConfig *config, const CertificateInfo *info,
                          const Wanted *wanted, Error *err)
{
        _cleanup_free_ char *name = string_format("%s:%s", wanted->kind, wanted->name);
        if (name && string_list_contains(&info->names, name)) {
                return 0;
        }
        _cleanup_free_ char *setting = name_setting(config, wanted->key, wanted->value);
        _cleanup_buffer_ Buffer names = {};
        if (!name || !setting || list_names(info, wanted->kind, &names) < 0) {
                return error_oom(err);
        }
        return error_set(err, ERROR_CONFIG, EINVAL,
                         "%s, but this cluster was made with another value and keeps it: its API "
                         "server's certificate has %s and not %s. Set %s to the old value, for "
                         "every machine%s",
                         setting, names.data ? names.data : "none", wanted->name, wanted->key,
                         wanted->hint);
}

int settings_check_certificate(const StackConfig *config, Error *err)
{
        _cleanup_certificate_info_ CertificateInfo info = {};
        int r = settings_read_names(&info, err);
        if (r <= 0) {
                return r;
        }
        char address[INET_ADDRSTRLEN], services[NETWORK_TEXT_MAX];
        pki_service_address(config->service_network, address);
        network_format(config->service_network, services);
        _cleanup_free_ char *domain =
                string_format("kubernetes.default.svc.%s", config->cluster_domain);
        if (!domain) {
                return error_oom(err);
        }
        const Wanted wanted[] = {
                { "IP", address, "SERVICE_NETWORK", services,
                  " (10.0.0.0/16 was the default before it was recorded)" },
                { "DNS", domain, "CLUSTER_DOMAIN", config->cluster_domain, "" },
        };
        FOREACH_ARRAY(w, wanted, ELEMENTS(wanted)) {
                r = refuse_without(config, &info, w, err);
                if (r < 0) {
                        return r;
                }
        }
        return 0;
}

/* Returns 1 if the volume's identity has the overlay's settings (or there is no identity), 0 if it
 * lacks them and etcd has no others than ours. */
static int look_at_overlay(const StackConfig *config, const char *in_etcd, VolumeIdentity *ret,
                           Error *err)
{
        ClusterSettings found = {};
        int r = volume_identity_look(ret, err);
        if (r < 0 || !ret->exists || *ret->identity.settings.overlay_network) {
                return r < 0 ? r : 1;
        }
        if (overlay_config_parse(in_etcd, found.overlay_network, found.overlay_backend)) {
                r = settings_check(config, &found, "flannel's configuration in etcd", err);
        }
        return r < 0 ? r : 0;
}

int settings_check_overlay(const StackConfig *config, const char *in_etcd, Error *err)
{
        VolumeIdentity volume = {};
        return look_at_overlay(config, in_etcd, &volume, err);
}

int settings_record_overlay(const StackConfig *config, const char *in_etcd, Error *err)
{
        VolumeIdentity volume = {};
        const ClusterSettings settings = settings_of(config);
        int r = look_at_overlay(config, in_etcd, &volume, err);
        if (r == 0 && settings_complete(&volume.identity.settings, &settings)) {
                r = volume_identity_write(&volume.identity, err);
        }
        return r < 0 ? r : 0;
}
