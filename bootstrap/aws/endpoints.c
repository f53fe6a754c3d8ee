/* SPDX-License-Identifier: Apache-2.0 */
#include "aws/endpoints.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/string.h"

#define HOST_CHARACTERS "abcdefghijklmnopqrstuvwxyz0123456789-."

static bool is_host_part(const char *s)
{
        return !isempty(s) && strlen(s) < 64 && strspn(s, HOST_CHARACTERS) == strlen(s) &&
               isalpha((unsigned char) s[0]);
}

static bool environment_true(const char *name)
{
        const char *value = getenv(name);
        return value && strcasecmp(value, "true") == 0;
}

/* Returns the value of AWS_ENDPOINT_URL_<SERVICE>, else of AWS_ENDPOINT_URL, or NULL if neither is
 * set. name is the variable's name. */
static const char * override(const char *service, char name[64])
{
        int n = snprintf(name, 64, "AWS_ENDPOINT_URL_%s", service);
        for (int i = 0; i < n && i < 63; i++) {
                name[i] = (char) toupper((unsigned char) name[i]);
        }
        const char *url = getenv(name);
        if (isempty(url)) {
                (void) snprintf(name, 64, "AWS_ENDPOINT_URL");
                url = getenv(name);
        }
        return isempty(url) ? NULL : url;
}

/* Returns what follows "https://" or "http://", or NULL for another scheme. */
static const char *after_scheme(const char *url)
{
        if (string_starts_with(url, "https://")) {
                return url + strlen("https://");
        }
        return string_starts_with(url, "http://") ? url + strlen("http://") : NULL;
}

static int use_override(const char *name, const char *url, Endpoint *ret, Error *err)
{
        const char *host = after_scheme(url);
        size_t n = strlen(url);
        while (n > 0 && url[n - 1] == '/') {
                n--;
        }
        bool plain = host && url + n > host;
        for (const char *p = host; plain && p < url + n; p++) {
                plain = isgraph((unsigned char) *p) && !strchr("/?#@\"\\", *p);
        }
        if (!plain || n >= sizeof(ret->url)) {
                return error_set(err, ERROR_CONFIG, EINVAL,
                                 "%s=%.200s is not an endpoint: expected http://HOST[:PORT] or "
                                 "https://HOST[:PORT]",
                                 name, url);
        }
        memcpy(ret->url, url, n);
        ret->url[n] = '\0';
        ret->overridden = true;
        return 0;
}

static int format_host(const char *service, const char *region, const char *domain,
                       const char *dual_domain, Endpoint *ret)
{
        const char *fips = environment_true("AWS_USE_FIPS_ENDPOINT") ? "-fips" : "";
        int n;
        if (streq(service, "s3")) {
                /* S3's dual-stack names predate the api.aws domains. */
                const char *dual = dual_domain ? ".dualstack" : "";
                n = snprintf(ret->url, sizeof(ret->url), "https://s3%s%s.%s.%s", fips, dual, region,
                             domain);
        } else {
                if (string_starts_with(region, "us-gov-") && !dual_domain) {
                        fips = ""; /* GovCloud's regular EC2 endpoints are its FIPS endpoints. */
                }
                n = snprintf(ret->url, sizeof(ret->url), "https://%s%s.%s.%s", service, fips,
                             region, dual_domain ? dual_domain : domain);
        }
        return n < 0 || (size_t) n >= sizeof(ret->url) ? -EINVAL : 0;
}

/* Returns the domain of the dual-stack names in that domain's partition; NULL if none are known. */
static const char *dual_stack_domain(const char *domain)
{
        if (streq(domain, "amazonaws.com")) {
                return "api.aws";
        }
        return streq(domain, "amazonaws.com.cn") ? "api.amazonwebservices.com.cn" : NULL;
}

int endpoint_resolve(const char *service, const char *region, const char *domain, Endpoint *ret,
                     Error *err)
{
        char name[64];
        const char *url = override(service, name);
        if (url) {
                return use_override(name, url, ret, err);
        }
        if (!is_host_part(region) || strchr(region, '.')) {
                return error_set(err, ERROR_CONFIG, EINVAL, "\"%.64s\" is no AWS region",
                                 strempty(region));
        }
        bool china = string_starts_with(region, "cn-");
        if (isempty(domain)) {
                domain = china ? "amazonaws.com.cn" : "amazonaws.com";
        }
        if (!is_host_part(domain)) {
                return error_set(err, ERROR_CONFIG, EINVAL, "\"%.64s\" is no AWS domain", domain);
        }
        if (china && environment_true("AWS_USE_FIPS_ENDPOINT")) {
                return error_set(err, ERROR_CONFIG, EINVAL,
                                 "AWS_USE_FIPS_ENDPOINT is set, and %s has no FIPS endpoints",
                                 region);
        }
        const char *dual = NULL;
        if (environment_true("AWS_USE_DUALSTACK_ENDPOINT")) {
                dual = dual_stack_domain(domain);
                if (!dual) {
                        return error_set(err, ERROR_CONFIG, EINVAL,
                                         "AWS_USE_DUALSTACK_ENDPOINT is set, and no dual-stack "
                                         "endpoints are known for %s",
                                         domain);
                }
        }
        Endpoint endpoint = {};
        if (format_host(service, region, domain, dual, &endpoint) < 0) {
                return error_set(err, ERROR_CONFIG, EINVAL, "endpoint of %s in %s is too long",
                                 service, region);
        }
        *ret = endpoint;
        return 0;
}
