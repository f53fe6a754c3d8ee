/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <unistd.h>

/* The shell of the busybox image (see suite): busybox's, whose messages tests of upstream's look
 * for. But Debian's drops from the environment what is no name of a variable, such as "data-1",
 * which other tests look for: bash keeps it. */

extern char **environ;

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";

int main(int argc, char **argv)
{
        const char *program = "/bin/busybox";
        for (char **entry = environ; *entry; entry++) {
                if ((*entry)[strspn(*entry, letters)] != '=') {
                        program = "/bin/bash";
                }
        }
        (void) argc;
        (void) execv(program, argv);
        return 127;
}
