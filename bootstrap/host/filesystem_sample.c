/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/string.h"
#include "host/filesystem_internal.h"

/* Looks at the blocks of a disk on which no signature was found. */

#define BLOCK_BYTES  4096
#define SECTOR_BYTES 512

/* Number of blocks that are requested from the disk at once. Between two batches, the deadline and
 * the stop request are checked. */
#define BATCH_BLOCKS 64

/* Pearson's chi-squared statistic of the byte values, 255 degrees of freedom: mean 255, standard
 * deviation 22.6. Random bytes leave this range with a probability below 1e-12 a block. A counter
 * or a repeated pattern lies below it, text, code, tables and file systems' structures lie far
 * above it. https://www.itl.nist.gov/div898/handbook/eda/section3/eda35f.htm */
#define CHI_SQUARED_MIN 80
#define CHI_SQUARED_MAX 500

static bool is_zero(const unsigned char *data, size_t n)
{
        return data[0] == 0 && memcmp(data, data + 1, n - 1) == 0;
}

DiskBytes disk_bytes_of_block(const unsigned char *data, size_t n)
{
        /* A power cut may leave zeros in some of the block's sectors only. */
        for (; n > SECTOR_BYTES && is_zero(data, SECTOR_BYTES); n -= SECTOR_BYTES) {
                data += SECTOR_BYTES;
        }
        while (n > SECTOR_BYTES && is_zero(data + n - SECTOR_BYTES, SECTOR_BYTES)) {
                n -= SECTOR_BYTES;
        }
        if (is_zero(data, n)) {
                return DISK_BYTES_ZERO;
        }
        uint64_t count[256] = {}, squares = 0;
        for (size_t i = 0; i < n; i++) {
                count[data[i]]++;
        }
        FOREACH_ARRAY(c, count, ELEMENTS(count)) {
                squares += *c * *c;
        }
        /* 256 / n * sum(count²) - n, compared without division */
        uint64_t scaled = 256 * squares;
        bool random = scaled >= (CHI_SQUARED_MIN + n) * n && scaled <= (CHI_SQUARED_MAX + n) * n;
        return random ? DISK_BYTES_NOISE : DISK_BYTES_DATA;
}

/* The order in which blocks are read: those of the first MiB, those of the last MiB, then
 * DISK_SAMPLES blocks spread evenly over the space between (all of its blocks if there are
 * fewer). */
typedef struct Plan {
        uint64_t size, edge; /* bytes */
        uint64_t n_edge;     /* blocks of an edge; the last may be shorter */
        uint64_t middle;     /* whole blocks between the edges */
        uint64_t n_middle;   /* how many of them are read */
} Plan;

static Plan make_plan(uint64_t size)
{
        Plan plan = { .size = size, .edge = size < DISK_EDGE_BYTES ? size : DISK_EDGE_BYTES };
        plan.n_edge = (plan.edge + BLOCK_BYTES - 1) / BLOCK_BYTES;
        plan.middle = size > 2 * DISK_EDGE_BYTES ? (size - 2 * DISK_EDGE_BYTES) / BLOCK_BYTES : 0;
        plan.n_middle = plan.middle < DISK_SAMPLES ? plan.middle : DISK_SAMPLES;
        return plan;
}

static uint64_t place(const Plan *plan, uint64_t i, size_t *ret_n)
{
        if (i < 2 * plan->n_edge) {
                bool is_first = i < plan->n_edge;
                uint64_t begin = is_first ? 0 : plan->size - plan->edge;
                uint64_t offset = (is_first ? i : i - plan->n_edge) * BLOCK_BYTES;
                uint64_t left = plan->edge - offset;
                *ret_n = left < BLOCK_BYTES ? (size_t) left : BLOCK_BYTES;
                return begin + offset;
        }
        *ret_n = BLOCK_BYTES;
        uint64_t sample = i - 2 * plan->n_edge, n = plan->n_middle > 0 ? plan->n_middle : 1;
        return DISK_EDGE_BYTES + sample * plan->middle / n * BLOCK_BYTES;
}

/* Asks the kernel to begin to read the batch that starts at block i. This is only advice, so its
 * result is ignored. */
static void announce_batch(int fd, const Plan *plan, uint64_t i, uint64_t n_blocks)
{
        for (uint64_t end = i + BATCH_BLOCKS; i < end && i < n_blocks; i++) {
                size_t n;
                uint64_t at = place(plan, i, &n);
                (void) posix_fadvise(fd, (off_t) at, (off_t) n, POSIX_FADV_WILLNEED);
        }
}

static int look_at_blocks(int fd, const char *name, const Plan *plan, const Wait *wait,
                          DiskBytes *ret, uint64_t *ret_at, Error *err)
{
        unsigned char block[BLOCK_BYTES];
        DiskBytes worst = DISK_BYTES_ZERO;
        uint64_t worst_at = 0, n_blocks = 2 * plan->n_edge + plan->n_middle;
        for (uint64_t i = 0; i < n_blocks; i++) {
                size_t n;
                uint64_t at = place(plan, i, &n);
                int r = 0;
                if (i % BATCH_BLOCKS == 0) {
                        announce_batch(fd, plan, i, n_blocks);
                        r = wait_check(wait, err);
                }
                if (r >= 0) {
                        r = disk_read(fd, name, block, n, at, err);
                }
                if (r < 0) {
                        return r;
                }
                DiskBytes bytes = disk_bytes_of_block(block, n);
                if (bytes > worst) {
                        size_t zeros = 0;
                        while (block[zeros] == 0) {
                                zeros++;
                        }
                        worst = bytes;
                        worst_at = at + zeros;
                }
                if (worst == DISK_BYTES_DATA) {
                        break;
                }
        }
        *ret = worst;
        *ret_at = worst_at;
        return 0;
}

int disk_sample(int fd, const char *name, uint64_t size, const Wait *wait, DiskBytes *ret,
                uint64_t *ret_at, Error *err)
{
        Plan plan = make_plan(size);
        /* The blocks are far apart: read-ahead would read a large part of the disk. */
        (void) posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
        int r = look_at_blocks(fd, name, &plan, wait, ret, ret_at, err);
        (void) posix_fadvise(fd, 0, 0, POSIX_FADV_NORMAL);
        return r;
}
