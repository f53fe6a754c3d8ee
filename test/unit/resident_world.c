/* SPDX-License-Identifier: Apache-2.0 */
#include "resident_world.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

const StepRetry boot_again = { 100, 400 };
const unsigned boot_patience_ms = 600000;

/* In the C library's place, also in the programs. */
int clock_gettime(clockid_t clock, struct timespec *ret)
{
        int r = (int) syscall(SYS_clock_gettime, clock, ret);
        ret->tv_sec += world ? world->later_s : 0;
        return r;
}

Program program, other;
static char notify_path[100];

bool systemd_hears(const char *text)
{
        Wait wait = test_patience();
        for (;;) {
                char *found = strstr(systemd_heard, text);
                if (found) { /* what came before is forgotten, so that each is heard once */
                        found += strlen(text);
                        memmove(systemd_heard, found, strlen(found) + 1);
                        return true;
                }
                if (!world_read(NULL, &wait)) {
                        return false;
                }
        }
}

void start(void)
{
        char text[256];
        while (recv(systemd_fd, text, sizeof(text), MSG_DONTWAIT) >= 0) {}
        systemd_heard[0] = '\0';
        (void) setenv("NOTIFY_SOCKET", notify_path, 1);
        program_start(&program, false, WORDS("run", "--resident"));
        (void) unsetenv("NOTIFY_SOCKET"); /* those by hand have none */
}

int stop(void)
{
        (void) kill(program.pid, SIGTERM);
        return program_end(&program);
}

bool be_systemd(void)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        (void) snprintf(notify_path, sizeof(notify_path), "%s/notify", test_folder());
        (void) snprintf(address.sun_path, sizeof(address.sun_path), "%s", notify_path);
        systemd_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (systemd_fd < 0 || bind(systemd_fd, (struct sockaddr *) &address, sizeof(address)) < 0) {
                perror("notify socket");
                return false;
        }
        return true;
}
