/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/kubeconfig.h"

#include <errno.h>

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

/* Quotes everywhere: to YAML, 123 is a number and true no name. */
static void embeds_everything(void)
{
        Error err = {};
        Kubeconfig config = sample();
        _cleanup_secret_ Secret text = SECRET_INIT;
        CHECK_OK(kubeconfig_format(&config, &text, &err), err);
        CHECK_STR(text.data, "apiVersion: v1\n"
                             "kind: Config\n"
                             "current-context: \"blue\"\n"
                             "contexts:\n"
                             "- name: \"blue\"\n"
                             "  context:\n"
                             "    cluster: \"blue\"\n"
                             "    user: \"system:kube-scheduler\"\n"
                             "clusters:\n"
                             "- name: \"blue\"\n"
                             "  cluster:\n"
                             "    server: \"https://127.0.0.1:443\"\n"
                             "    certificate-authority-data: Q0E=\n"
                             "users:\n"
                             "- name: \"system:kube-scheduler\"\n"
                             "  user:\n"
                             "    client-certificate-data: Q0VSVA==\n"
                             "    client-key-data: S0VZ\n");
}

static void lets_nothing_out_of_its_quotes(void)
{
        static const char *const bad[] = { "", "a\"b", "a\nb", "a\\b", "a b", "{a}", "a#" };
        FOREACH_ARRAY(value, bad, ELEMENTS(bad)) {
                for (int which = 0; which < 3; which++) {
                        Error err = {};
                        Kubeconfig config = sample();
                        *(which == 0   ? &config.cluster
                          : which == 1 ? &config.server
                                       : &config.user) = *value;
                        _cleanup_secret_ Secret text = SECRET_INIT;
                        CHECK_INT(kubeconfig_format(&config, &text, &err), -EINVAL);
                        CHECK_INT(err.class, ERROR_FATAL);
                        CHECK_INT(text.size, 0);
                }
        }
}

int main(void)
{
        test_case("embeds authority, certificate and key", embeds_everything);
        test_case("lets nothing out of its quotes", lets_nothing_out_of_its_quotes);
        return test_done();
}
