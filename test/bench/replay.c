/* SPDX-License-Identifier: Apache-2.0 */

/* Runs a fuzz target once over each file it is given: parsing alone, so that its instructions can
 * be counted. */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int main(int argc, char **argv)
{
        static uint8_t data[1 << 20];
        for (int i = 1; i < argc; i++) {
                FILE *file = fopen(argv[i], "re");
                if (!file) {
                        perror(argv[i]);
                        return EXIT_FAILURE;
                }
                size_t n = fread(data, 1, sizeof(data), file);
                (void) fclose(file);
                (void) LLVMFuzzerTestOneInput(data, n);
        }
        return EXIT_SUCCESS;
}
