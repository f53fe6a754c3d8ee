/* SPDX-License-Identifier: Apache-2.0 */
#include "wire.h"

#include <stdlib.h>
#include <sys/socket.h>

bool wire_receive(int fd, SSL *ssl, Buffer *request)
{
        for (size_t want = SIZE_MAX; request->size < want;) {
                char part[4096];
                ssize_t n =
                        ssl ? SSL_read(ssl, part, sizeof(part)) : recv(fd, part, sizeof(part), 0);
                if (n <= 0 || buffer_append(request, part, (size_t) n) < 0) {
                        return false;
                }
                const char *end = strstr(request->data, "\r\n\r\n");
                if (end && want == SIZE_MAX) {
                        const char *length = strstr(request->data, "Content-Length: ");
                        want = (size_t) (end + 4 - request->data) +
                               (length && length < end ? strtoul(length + 16, NULL, 10) : 0);
                }
        }
        return true;
}

void wire_send(int fd, SSL *ssl, const char *text)
{
        size_t n = strlen(text);
        if (n > 0 && ssl) {
                (void) SSL_write(ssl, text, (int) n);
        } else if (n > 0) {
                (void) send(fd, text, n, MSG_NOSIGNAL);
        }
}
