/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A connection of the tests' servers, with TLS or, where ssl is NULL, plain. */

#include <openssl/ssl.h>

#include "base/string.h"

/* Receives one HTTP request, head and body; false at the end of the connection. */
bool wire_receive(int fd, SSL *ssl, Buffer *request);

/* Sends text. The client may have closed the connection. */
void wire_send(int fd, SSL *ssl, const char *text);
