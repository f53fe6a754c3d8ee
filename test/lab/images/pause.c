/* SPDX-License-Identifier: Apache-2.0
 *
 * The process that holds a pod's namespaces: waits, reaps what is left to it, and ends when told
 * to. */
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void on_child(int signal)
{
        (void) signal;
        while (waitpid(-1, NULL, WNOHANG) > 0)
                ;
}

static void on_end(int signal)
{
        (void) signal;
        _exit(EXIT_SUCCESS);
}

int main(void)
{
        struct sigaction child = { .sa_handler = on_child, .sa_flags = SA_NOCLDSTOP },
                         end = { .sa_handler = on_end };

        if (sigaction(SIGCHLD, &child, NULL) < 0 || sigaction(SIGTERM, &end, NULL) < 0 ||
            sigaction(SIGINT, &end, NULL) < 0)
                return EXIT_FAILURE;
        for (;;)
                pause();
}
