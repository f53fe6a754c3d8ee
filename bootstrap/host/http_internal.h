/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <curl/curl.h>

#include "base/error.h"

/* What threads have in common when they speak HTTP: the addresses of the few names that all of them
 * ask for, and what one has agreed on with a TLS server, which another resumes. Connections are not
 * shared: libcurl cannot, between threads. There is one such object in a process, for
 * CURLOPT_SHARE. https://curl.se/libcurl/c/libcurl-share.html */
int http_share_new(CURLSH **ret, Error *err);

/* Once no handle has it any more; NULL is fine. */
void http_share_free(CURLSH *share);
