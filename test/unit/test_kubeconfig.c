/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/kubeconfig.h"

#include <jansson.h>

#include "harness.h"

static Buffer authority = { .data = (char[]) { "CA" }, .size = 2 };
static Buffer certificate = { .data = (char[]) { "CERT" }, .size = 4 };
static Buffer key = { .data = (char[]) { "KEY" }, .size = 3 };

static Kubeconfig sample(void)
{
        return (Kubeconfig) {
                .cluster = "blue",
                .server = "https://127.0.0.1:443",
                .user = "system:kube-scheduler",
                .authority_pem = &authority,
                .certificate_pem = &certificate,
                .key_pem = &key,
        };
}

/* https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/ */
static void check(const Secret *text, const char *expected)
{
        json_auto_t *got = json_loadb(text->data, text->size, JSON_REJECT_DUPLICATES, NULL);
        json_auto_t *wanted = json_loads(expected, 0, NULL);
        REQUIRE(got && wanted);
        if (!json_equal(got, wanted)) {
                test_fail(__FILE__, __LINE__, "got %s", text->data);
        }
}

static void embeds_everything(void)
{
        Error err = {};
        Kubeconfig config = sample();
        _cleanup_secret_ Secret text = SECRET_INIT;
        CHECK_OK(kubeconfig_format(&config, &text, &err), err);
        check(&text, "{\"apiVersion\":\"v1\",\"kind\":\"Config\",\"current-context\":\"blue\","
                     "\"contexts\":[{\"name\":\"blue\",\"context\":"
                     "{\"cluster\":\"blue\",\"user\":\"system:kube-scheduler\"}}],"
                     "\"clusters\":[{\"name\":\"blue\",\"cluster\":"
                     "{\"server\":\"https://127.0.0.1:443\","
                     "\"certificate-authority-data\":\"Q0E=\"}}],"
                     "\"users\":[{\"name\":\"system:kube-scheduler\",\"user\":"
                     "{\"client-certificate-data\":\"Q0VSVA==\","
                     "\"client-key-data\":\"S0VZ\"}}]}");
}

/* client-certificate and client-key may name one file, as kubelet's own does:
 * https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/#AuthInfo */
static void names_files(void)
{
        Error err = {};
        _cleanup_buffer_ Buffer text = {};
        CHECK_OK(kubeconfig_format_files("https://10.0.0.9:443", "/srv/ca.crt", "kubelet",
                                         "/srv/kubelet.pem", &text, &err),
                 err);
        check(&text,
              "{\"apiVersion\":\"v1\",\"kind\":\"Config\",\"current-context\":\"kubernetes\","
              "\"contexts\":[{\"name\":\"kubernetes\",\"context\":"
              "{\"cluster\":\"kubernetes\",\"user\":\"kubelet\"}}],"
              "\"clusters\":[{\"name\":\"kubernetes\",\"cluster\":"
              "{\"server\":\"https://10.0.0.9:443\","
              "\"certificate-authority\":\"/srv/ca.crt\"}}],"
              "\"users\":[{\"name\":\"kubelet\",\"user\":"
              "{\"client-certificate\":\"/srv/kubelet.pem\",\"client-key\":\"/srv/"
              "kubelet.pem\"}}]}");
}

/* A name is one text, whatever is in it: to YAML without quotes 123 would be a number. */
static void keeps_names_as_they_are(void)
{
        static const char *const names[] = { "123", "true", "a\"b", "a\nb", "a\\b", "{a}", "a#" };
        FOREACH_ARRAY(name, names, ELEMENTS(names)) {
                Error err = {};
                Kubeconfig config = sample();
                config.cluster = *name;
                _cleanup_secret_ Secret text = SECRET_INIT;
                CHECK_OK(kubeconfig_format(&config, &text, &err), err);
                json_auto_t *got = json_loadb(text.data, text.size, 0, NULL);
                CHECK_STR(json_string_value(json_object_get(got, "current-context")), *name);
        }
}

int main(void)
{
        test_case("embeds authority, certificate and key", embeds_everything);
        test_case("names files, which may be renewed", names_files);
        test_case("names stay as they are", keeps_names_as_they_are);
        return test_done();
}
