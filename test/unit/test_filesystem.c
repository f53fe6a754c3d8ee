/* SPDX-License-Identifier: Apache-2.0 */
#include <endian.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "harness.h"
#include "host/filesystem_internal.h"
#include "host/process.h"

/* The probe on sparse files that hold what each tool makes. What needs loop devices and kills is in
 * test/integration/disks, which drives this program as a tool (see tool()). */

#define VOLUME "vol-0123456789abcdef0"
#define LABEL  "kb-0123456789ab"
#define UUID   "6f0c4a9d-2c4e-4b0f-a5d0-a8b8f3a0c101"
#define MIB    (UINT64_C(1) << 20)

static char disk[128];
static off_t reads_end_at; /* before the size; 0: they do not */

/* In the C library's place. */
ssize_t pread(int fd, void *data, size_t n, off_t offset)
{
        if (reads_end_at && offset + (off_t) n > reads_end_at) {
                n = offset < reads_end_at ? (size_t) (reads_end_at - offset) : 0;
        }
        return syscall(SYS_pread64, fd, data, n, offset);
}

static void make_disk(uint64_t size)
{
        (void) snprintf(disk, sizeof(disk), "%s/disk", test_folder());
        (void) unlink(disk);
        int fd = open(disk, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        CHECK(fd >= 0 && ftruncate(fd, (off_t) size) == 0);
        (void) close(fd);
}

static void put(uint64_t at, const void *data, size_t n)
{
        int fd = open(disk, O_WRONLY | O_CLOEXEC);
        CHECK(fd >= 0 && pwrite(fd, data, n, (off_t) at) == (ssize_t) n);
        (void) close(fd);
}

static void put_marker(const char *volume_id, const char *label, uint64_t size)
{
        char sector[DISK_MARKER_BYTES];
        disk_marker_make(volume_id, label, UUID, sector);
        put(disk_marker_offset(size), sector, sizeof(sector));
}

/* Runs a program with the arguments and the disk as the last one. "" ends them earlier: what
 * follows comes after the disk. */
static void make(const char *program, const char *const *arguments)
{
        const char *argv[24] = { program };
        size_t n = 1;
        bool named = false;
        for (; *arguments; arguments++) {
                named = named || !**arguments;
                argv[n++] = **arguments ? *arguments : disk;
        }
        argv[n] = named ? NULL : disk;
        _cleanup_process_result_ ProcessResult result = {};
        Error err = {};
        Wait wait = test_wait(60);
        CHECK_OK(process_run_checked(
                         &(ProcessOptions) { .argv = argv, .input = "secret", .input_size = 6 },
                         &wait, &result, &err),
                 err);
}

static DiskContent content(char what[192])
{
        DiskProbe probe = { .content = DISK_CANNOT_TELL };
        Error err = {};
        Wait wait = test_wait(20);
        int fd = open(disk, O_RDONLY | O_CLOEXEC);
        CHECK_OK(disk_probe_fd(fd, "DISK", VOLUME, LABEL, &wait, &probe, NULL, &err), err);
        (void) close(fd);
        (void) snprintf(what, 192, "%s", probe.what);
        return probe.content;
}

static void check_content(int line, DiskContent expected, const char *part)
{
        char what[192];
        DiskContent found = content(what);
        if (found != expected || !strstr(what, part)) {
                test_fail(__FILE__, line, "%s (%s), expected %s (%s)",
                          disk_content_to_string(found), what, disk_content_to_string(expected),
                          part);
        }
}
#define CHECK_CONTENT(expected, part) check_content(__LINE__, expected, part)

#define LIST(...)                 \
        (const char *const[])     \
        {                         \
                __VA_ARGS__, NULL \
        }

static void zeros_are_blank(void)
{
        static const uint64_t sizes[] = { 8192,           MIB,      MIB + 512,
                                          2 * MIB - 4096, 64 * MIB, (UINT64_C(1) << 40) + 512 };
        for (size_t i = 0; i < ELEMENTS(sizes); i++) {
                make_disk(sizes[i]);
                CHECK_CONTENT(DISK_BLANK, "nothing");
        }
}

static void one_byte_is_data(void)
{
        static const struct {
                uint64_t at;
                DiskContent expected;
        } cases[] = {
                { 0, DISK_UNRECOGNISED },
                { 511, DISK_UNRECOGNISED },
                { MIB - 1, DISK_UNRECOGNISED },
                { 63 * MIB, DISK_UNRECOGNISED },
                { 64 * MIB - 1, DISK_UNRECOGNISED },
                { 64 * MIB - 4096, DISK_UNRECOGNISED }, /* where the marker would be */
                { MIB, DISK_UNRECOGNISED },             /* the first sample */
                { MIB + 100 * 15872 / 2048 * 4096, DISK_UNRECOGNISED }, /* the hundredth */
                { 32 * MIB + 4096, DISK_BLANK }, /* between two samples: nothing says data */
        };
        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                make_disk(64 * MIB);
                put(cases[i].at, "x", 1);
                char part[32] = "nothing";
                if (cases[i].expected == DISK_UNRECOGNISED) {
                        (void) snprintf(part, sizeof(part), "at byte %llu",
                                        (unsigned long long) cases[i].at);
                }
                CHECK_CONTENT(cases[i].expected, part);
        }
}

static void draw_noise(void *ret, size_t n)
{
        CHECK(getrandom(ret, n, 0) == (ssize_t) n);
}

/* What is random is neither blank nor known; whether it is new, the disk does not tell. */
static void random_bytes_are_noise(void)
{
        static const uint64_t places[] = { 0, MIB / 2, 63 * MIB, MIB };
        for (size_t i = 0; i < ELEMENTS(places); i++) {
                char noise[65536], part[64];
                make_disk(64 * MIB);
                draw_noise(noise, sizeof(noise));
                noise[0] = 'n';
                put(places[i], noise, sizeof(noise));
                (void) snprintf(part, sizeof(part), "random bytes from byte %llu on",
                                (unsigned long long) places[i]);
                CHECK_CONTENT(DISK_NOISE, part);
                put(places[i] + 4096, "some text among it: ", 20);
                CHECK_CONTENT(DISK_NOISE, part); /* twenty bytes do not show */
                char text[32768];                /* of any eight blocks, one is looked at */
                memset(text, 'x', sizeof(text));
                put(places[i] + 4096, text, sizeof(text));
                CHECK_CONTENT(DISK_UNRECOGNISED, "");
        }
}

/* Real filesystems hold blocks that are neither zero nor random: were the first MiB of one wiped,
 * or its superblock damaged, it would not pass for noise. */
static void structure_is_no_noise(void)
{
        static const char zero[MIB] = {};
        make_disk(256 * MIB);
        make("/sbin/mkfs.ext4", LIST("-q", "-L", LABEL));
        put(1024, zero, 1024);
        CHECK_CONTENT(DISK_UNRECOGNISED, "");
        make_disk(256 * MIB);
        make("/sbin/mkfs.btrfs", LIST("-q"));
        put(64 * 1024, zero, 4096);
        put(64 * MIB, zero, 4096);
        CHECK_CONTENT(DISK_UNRECOGNISED, "");
}

static void blocks_are_classed(void)
{
        unsigned char block[4096];
        static const size_t sizes[] = { 512, 4096 };
        for (unsigned i = 0; i < 20000; i++) {
                draw_noise(block, sizeof(block));
                size_t n = sizes[i % ELEMENTS(sizes)];
                if (disk_bytes_of_block(block, n) != DISK_BYTES_NOISE) {
                        test_fail(__FILE__, __LINE__, "random block %u of %zu bytes", i, n);
                }
        }
        memset(block, 0, 1536); /* a power cut left some sectors of it zero */
        CHECK_INT(disk_bytes_of_block(block, sizeof(block)), DISK_BYTES_NOISE);
        draw_noise(block, 1536);
        memset(block + 1536, 0, sizeof(block) - 1536);
        CHECK_INT(disk_bytes_of_block(block, sizeof(block)), DISK_BYTES_NOISE);
        memset(block, 0, sizeof(block));
        CHECK_INT(disk_bytes_of_block(block, sizeof(block)), DISK_BYTES_ZERO);
        block[4095] = 1;
        CHECK_INT(disk_bytes_of_block(block, sizeof(block)), DISK_BYTES_DATA);
        for (size_t i = 0; i < sizeof(block); i++) {
                block[i] = (unsigned char) i; /* each value as often: too even */
        }
        CHECK_INT(disk_bytes_of_block(block, sizeof(block)), DISK_BYTES_DATA);
        int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
        CHECK(read(fd, block, sizeof(block)) == sizeof(block));
        CHECK_INT(disk_bytes_of_block(block, sizeof(block)), DISK_BYTES_DATA);
        (void) close(fd);
}

/* Superblocks that need a kernel to be made: the parts that libblkid looks at. */
static void put_md_member(void)
{
        unsigned char super[256 + 2] = { 0xfc, 0x4e, 0x2b, 0xa9,
                                         1 }; /* magic, version 1.2 at 4 KiB */
        memset(super + 16, 0xAB, 16);         /* set_uuid */
        memcpy(super + 32, "host:md0", 8);
        super[128 + 16] = 8; /* super_offset, in sectors */
        super[220] = 1;      /* max_dev */
        uint32_t words[64];
        uint64_t sum = 0;
        memcpy(words, super, 256);
        for (size_t i = 0; i < 64; i++) {
                sum += words[i];
        }
        sum += super[256] | (unsigned) super[257] << 8;
        uint32_t folded = (uint32_t) (sum & 0xFFFFFFFF) + (uint32_t) (sum >> 32);
        memcpy(super + 216, &folded, sizeof(folded));
        put(4096, super, sizeof(super));
}

static const struct {
        const char *name, *program, *found;
        const char *const *arguments;
        unsigned mib;
} tools[] = {
        { "ext4 of another cluster", "/sbin/mkfs.ext4", "ext4 labelled \"kb-other\" (UUID ",
          LIST("-q", "-L", "kb-other"), 64 },
        { "ext4 without a label", "/sbin/mkfs.ext4", "ext4 (UUID ", LIST("-q"), 64 },
        { "ext2 with our label", "/sbin/mkfs.ext2", "ext2 labelled", LIST("-q", "-L", LABEL), 64 },
        { "ext3 with our label", "/sbin/mkfs.ext3", "ext3 labelled", LIST("-q", "-L", LABEL), 64 },
        { "xfs", "/sbin/mkfs.xfs", "xfs labelled \"data\" (UUID ", LIST("-q", "-L", "data"), 320 },
        { "btrfs", "/sbin/mkfs.btrfs", "btrfs", LIST("-q"), 256 },
        { "vfat", "/sbin/mkfs.vfat", "vfat", LIST("-I"), 64 },
        { "swap", "/sbin/mkswap", "swap", LIST("-q"), 64 },
        { "LUKS", "/sbin/cryptsetup", "crypto_LUKS (UUID ",
          LIST("-q", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", "--key-file", "-",
               "luksFormat"),
          64 },
        { "a GPT", "/sbin/sgdisk", "partition table (gpt)", LIST("-n", "1"), 64 },
        { "an empty GPT", "/sbin/sgdisk", "partition table (gpt)", LIST("-o"), 64 },
};

static size_t tool_index;

static void tool_makes_foreign(void)
{
        make_disk(tools[tool_index].mib * MIB);
        make(tools[tool_index].program, tools[tool_index].arguments);
        check_content(__LINE__, DISK_FOREIGN, tools[tool_index].found);
}

static void md_member(void)
{
        make_disk(64 * MIB);
        put_md_member();
        CHECK_CONTENT(DISK_FOREIGN, "linux_raid_member labelled \"host:md0\"");
}

static void lvm_physical_volume(void)
{
        /* Sector 1: LABELONE, its own number, a CRC, then the header with the UUID. */
        unsigned char sector[512] = "LABELONE";
        sector[8] = 1;
        sector[20] = 32;
        memcpy(sector + 24, "LVM2 001", 8);
        memcpy(sector + 32, "abcdefghijklmnopqrstuvwxyz012345", 32);
        static const uint32_t table[16] = {
                0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
                0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
                0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
        };
        uint32_t crc = 0xf597a6cf;
        for (size_t i = 20; i < sizeof(sector); i++) {
                crc ^= sector[i];
                crc = (crc >> 4) ^ table[crc & 15];
                crc = (crc >> 4) ^ table[crc & 15];
        }
        memcpy(sector + 16, &crc, sizeof(crc));
        make_disk(64 * MIB);
        put(512, sector, sizeof(sector));
        CHECK_CONTENT(DISK_FOREIGN, "LVM2_member");
}

/* Not blank: libblkid would pass over it without BLKID_SUBLKS_BADCSUM. */
static void damaged_lvm_header(void)
{
        lvm_physical_volume();
        put(512 + 32, "x", 1); /* the UUID, under the checksum */
        CHECK_CONTENT(DISK_FOREIGN, "LVM2_member (UUID xbcdef-");
        CHECK_CONTENT(DISK_FOREIGN, "damaged superblock");
}

/* RFC 3720, B.4, and the check value of "CRC-32/ISCSI" in
 * https://reveng.sourceforge.io/crc-catalogue/all.htm; both invert the result. */
static void crc32c_vectors(void)
{
        unsigned char data[32] = {};
        CHECK_INT(~disk_crc32c(UINT32_MAX, data, 32), 0x8A9136AA);
        memset(data, 0xFF, 32);
        CHECK_INT(~disk_crc32c(UINT32_MAX, data, 32), 0x62A8AB43);
        for (size_t i = 0; i < 32; i++) {
                data[i] = (unsigned char) i;
        }
        CHECK_INT(~disk_crc32c(UINT32_MAX, data, 32), 0x46DD794E);
        CHECK_INT(~disk_crc32c(UINT32_MAX, (const unsigned char *) "123456789", 9), 0xE3069283);
}

/* The checksum's type and the feature's bit do not switch the check off. */
static void checksum_of_a_superblock(void)
{
        unsigned char super[DISK_EXT4_SUPER_BYTES];
        make_disk(64 * MIB);
        make("/sbin/mkfs.ext4", LIST("-q", "-L", LABEL));
        int fd = open(disk, O_RDONLY | O_CLOEXEC);
        CHECK(pread(fd, super, sizeof(super), DISK_EXT4_SUPER_OFFSET) == sizeof(super));
        (void) close(fd);
        CHECK(!disk_ext4_is_damaged(super, true));
        super[0x175] = 2;
        uint32_t checksum = htole32(disk_crc32c(UINT32_MAX, super, 0x3FC));
        memcpy(super + 0x3FC, &checksum, sizeof(checksum));
        CHECK(disk_ext4_is_damaged(super, true));
        put(DISK_EXT4_SUPER_OFFSET, super, sizeof(super));
        CHECK_CONTENT(DISK_FOREIGN, "ext4 labelled \"" LABEL "\"");
        CHECK_CONTENT(DISK_FOREIGN, "with a damaged superblock");

        make_disk(64 * MIB);
        make("/sbin/mkfs.ext4", LIST("-q", "-L", LABEL, "-O", "^metadata_csum"));
        CHECK_CONTENT(DISK_FOREIGN, "with a damaged superblock");
        char what[192];
        make_disk(64 * MIB);
        make("/sbin/mkfs.ext4", LIST("-q", "-L", "kb-other", "-O", "^metadata_csum"));
        CHECK_INT(content(what), DISK_FOREIGN);
        CHECK(!strstr(what, "damaged")); /* another's, and as it was made */
}

static void dos_table(void)
{
        static const unsigned char entry[16] = { 0, 1, 1, 0, 0x83, 1, 1, 1, 0, 8, 0, 0, 0, 16 };
        static const unsigned char magic[2] = { 0x55, 0xAA };
        make_disk(64 * MIB);
        put(446, entry, sizeof(entry));
        put(510, magic, sizeof(magic));
        CHECK_CONTENT(DISK_FOREIGN, "partition table (dos)");
}

/* The backup at the end alone: the first MiB was overwritten with zeros. */
static void gpt_backup_alone(void)
{
        static const char zero[MIB] = {};
        make_disk(64 * MIB);
        make("/sbin/sgdisk", LIST("-n", "1"));
        put(0, zero, sizeof(zero));
        CHECK_CONTENT(DISK_FOREIGN, "partition table (gpt)");
}

static void ours(void)
{
        make_disk(64 * MIB);
        make("/sbin/mkfs.ext4", LIST("-q", "-L", LABEL));
        CHECK_CONTENT(DISK_OURS, "ext4 labelled \"" LABEL "\"");
}

static void ours_with_a_table(void)
{
        static const unsigned char entry[16] = { 0, 1, 1, 0, 0x83, 1, 1, 1, 0, 8, 0, 0, 0, 16 };
        static const unsigned char magic[2] = { 0x55, 0xAA };
        make_disk(64 * MIB);
        make("/sbin/mkfs.ext4", LIST("-q", "-L", LABEL));
        put(446, entry, sizeof(entry));
        put(510, magic, sizeof(magic));
        char what[192];
        CHECK_INT(content(what), DISK_FOREIGN);
}

static void two_signatures(void)
{
        make_disk(320 * MIB);
        make("/sbin/mkfs.ext4", LIST("-q", "-L", LABEL));
        put(64 * 1024 + 64, "_BHRfS_M", 8); /* btrfs's magic, no more */
        char what[192];
        CHECK(content(what) != DISK_BLANK);
        make_disk(64 * MIB);
        make("/sbin/mkswap", LIST("-q"));
        put_md_member();
        CHECK_CONTENT(DISK_FOREIGN, "");
}

static void marker_alone(void)
{
        make_disk(64 * MIB);
        put_marker(VOLUME, LABEL, 64 * MIB);
        CHECK_CONTENT(DISK_INTERRUPTED, "interrupted");
        make_disk(64 * MIB + 512); /* a size that is no multiple of 4 KiB */
        put_marker(VOLUME, LABEL, 64 * MIB + 512);
        CHECK_CONTENT(DISK_INTERRUPTED, "interrupted");
        put(63 * MIB + 600000, "x", 1); /* the rest of the last MiB is nobody's */
        CHECK_CONTENT(DISK_UNRECOGNISED, "changed by another");
}

static void marker_and_half_a_filesystem(void)
{
        make_disk(64 * MIB);
        put_marker(VOLUME, LABEL, 64 * MIB);
        put(4096, "group descriptors", 17); /* mkfs writes its superblock last */
        put(20 * MIB, "inodes", 6);
        CHECK_CONTENT(DISK_INTERRUPTED, "interrupted");
        put(100, "boot", 4); /* mkfs leaves the boot block alone */
        CHECK_CONTENT(DISK_UNRECOGNISED, "changed by another");
}

static void marker_of_another(void)
{
        make_disk(64 * MIB);
        put_marker("vol-0fffffffffffffff0", LABEL, 64 * MIB); /* a snapshot's copy */
        CHECK_CONTENT(DISK_UNRECOGNISED, "another volume");
        make_disk(64 * MIB);
        put_marker(VOLUME, "kb-other", 64 * MIB);
        CHECK_CONTENT(DISK_UNRECOGNISED, "another volume");
        make_disk(64 * MIB);
        put_marker(VOLUME, LABEL, 64 * MIB);
        put(disk_marker_offset(64 * MIB) + 300, "x", 1);
        CHECK_CONTENT(DISK_UNRECOGNISED, "another volume");
        make_disk(64 * MIB);
        put_marker(VOLUME, LABEL, 32 * MIB); /* in the middle: the volume has grown since */
        CHECK_CONTENT(DISK_BLANK, "nothing");
}

static void marker_and_a_filesystem(void)
{
        static const char mounts[2] = { 1, 0 };
        make_disk(64 * MIB);
        put_marker(VOLUME, LABEL, 64 * MIB);
        make("/sbin/mkfs.ext4",
             LIST("-q", "-L", LABEL, "-b", "4096", "-U", UUID, "-E", "nodiscard", "", "16128"));
        CHECK_CONTENT(DISK_INTERRUPTED, "interrupted");
        put(1024 + 0x34, mounts, sizeof(mounts)); /* mounted: somebody may have used it */
        CHECK_CONTENT(DISK_FOREIGN, "changed by another");
}

static void marker_and_another_filesystem(void)
{
        make_disk(64 * MIB);
        make("/sbin/mkfs.ext4", LIST("-q", "-L", LABEL, "-b", "4096", "-E", "nodiscard"));
        put_marker(VOLUME, LABEL, 64 * MIB);
        CHECK_CONTENT(DISK_FOREIGN, "changed by another");
        make_disk(64 * MIB);
        make("/sbin/mkswap", LIST("-q"));
        put_marker(VOLUME, LABEL, 64 * MIB);
        CHECK_CONTENT(DISK_FOREIGN, "swap");
}

static void unreadable_is_no_blank(void)
{
        DiskProbe probe = { .content = DISK_CANNOT_TELL };
        Error err = {};
        Wait wait = test_wait(20);
        make_disk(64 * MIB);
        int fd = open(disk, O_WRONLY | O_CLOEXEC); /* a descriptor that cannot be read */
        CHECK(disk_probe_fd(fd, "DISK", VOLUME, LABEL, &wait, &probe, NULL, &err) < 0);
        (void) close(fd);
        CHECK_CONTAINS(err.message, "read DISK at byte 0");
        CHECK_INT(probe.content, DISK_CANNOT_TELL);

        make_disk(4096);
        fd = open(disk, O_RDONLY | O_CLOEXEC);
        CHECK(disk_probe_fd(fd, "DISK", VOLUME, LABEL, &wait, &probe, NULL, &err) < 0);
        CHECK_INT(err.class, ERROR_RETRY);
        (void) close(fd);

        make_disk(64 * MIB);
        fd = open(disk, O_RDONLY | O_CLOEXEC);
        static const off_t ends[] = { 1000, 64 * MIB - 1000 };
        FOREACH_ARRAY(end, ends, ELEMENTS(ends)) {
                reads_end_at = *end;
                CHECK(disk_probe_fd(fd, "DISK", VOLUME, LABEL, &wait, &probe, NULL, &err) < 0);
                CHECK_INT(err.class, ERROR_RETRY);
                CHECK_CONTAINS(err.message, "before its size");
        }
        reads_end_at = 0;
        (void) close(fd);

        Blockdev gone = {};
        (void) snprintf(gone.node, sizeof(gone.node), "%s/gone", test_folder());
        CHECK_INT(filesystem_probe(&gone, LABEL, &wait, &probe, &err), -ENOENT);
        CHECK_INT(probe.content, DISK_CANNOT_TELL);
}

/* Every combination of facts: blank and ours are what the header says, all else is foreign. */
static DiskContent verdict(const DiskFacts *facts)
{
        DiskProbe probe;
        disk_judge(facts, LABEL, &probe);
        CHECK(probe.what[0]);
        return probe.content;
}

/* The rules of DESIGN 3a, written down anew. type: 0 none, 1 ext4, 2 xfs, more: imitable; table: 0
 * none, 1 gpt, 2 imitable. */
static DiskContent expected_verdict(const DiskFacts *facts, size_t type, size_t table)
{
        bool nothing = type == 0 && table == 0, is_ours = streq(facts->uuid, UUID);
        bool clean = facts->block_zero && facts->last_zero;
        if (facts->ambivalent || table == 1 || type == 2) {
                return DISK_FOREIGN;
        }
        if (facts->marker == DISK_MARKER_NONE && type != 1) {
                return facts->bytes == DISK_BYTES_NOISE  ? DISK_NOISE
                       : !nothing                        ? DISK_FOREIGN
                       : facts->bytes == DISK_BYTES_ZERO ? DISK_BLANK
                                                         : DISK_UNRECOGNISED;
        }
        if (table == 2 || type > 1) {
                return DISK_FOREIGN;
        }
        if (facts->marker == DISK_MARKER_OURS && clean && !facts->was_mounted &&
            (type == 0 || is_ours)) {
                return DISK_INTERRUPTED;
        }
        if (facts->marker != DISK_MARKER_NONE) {
                return type == 0 ? DISK_UNRECOGNISED : DISK_FOREIGN;
        }
        return streq(facts->label, LABEL) && !facts->bad_checksum ? DISK_OURS : DISK_FOREIGN;
}

static void verdict_table(void)
{
        static const char *const types[] = { "", "ext4", "xfs", "hfsplus", "jbd" };
        static const char *const tables[] = { "", "gpt", "atari" };
        for (unsigned bits = 0; bits < 1 << 7; bits++) {
                for (size_t i = 0; i < ELEMENTS(types) * ELEMENTS(tables) * 9; i++) {
                        size_t t = i % ELEMENTS(types), p = i / ELEMENTS(types) % ELEMENTS(tables);
                        DiskMarker m = (DiskMarker) (i / ELEMENTS(types) / ELEMENTS(tables) % 3);
                        DiskFacts facts = {
                                .ambivalent = bits & 1,
                                .bad_checksum = bits & 2,
                                .was_mounted = bits & 4,
                                .last_zero = bits & 8,
                                .block_zero = bits & 16,
                                .marker = m,
                                .marker_uuid = UUID,
                                .bytes = (DiskBytes) (i / ELEMENTS(types) / ELEMENTS(tables) / 3),
                        };
                        (void) snprintf(facts.type, sizeof(facts.type), "%s", types[t]);
                        (void) snprintf(facts.table, sizeof(facts.table), "%s", tables[p]);
                        (void) snprintf(facts.label, sizeof(facts.label), "%s",
                                        bits & 32 ? LABEL : "other");
                        (void) snprintf(facts.uuid, sizeof(facts.uuid), "%s",
                                        bits & 64 ? UUID : "other");
                        CHECK_INT(verdict(&facts), expected_verdict(&facts, t, p));
                }
        }
}

/* Formats as step volume-format does once it has a record: with the UUID that was begun with. */
static int format(const Blockdev *device, const char *label, unsigned gives_up, Error *err)
{
        DiskProbe probe;
        char uuid[DISK_UUID_MAX];
        Wait wait = test_wait(60);
        int r = filesystem_probe(device, label, &wait, &probe, err);
        if (r >= 0 && probe.content == DISK_INTERRUPTED) {
                (void) snprintf(uuid, sizeof(uuid), "%s", probe.uuid);
        } else if (r >= 0) {
                r = filesystem_draw_uuid(uuid, err);
        }
        const FormatOrder order = { .label = label, .uuid = uuid, .gives_up = gives_up };
        return r < 0 ? r : filesystem_format(device, &order, &wait, err);
}

/* Formats with each byte of the superblock changed in turn. A line each: what came of it. */
static int format_spoilt(const Blockdev *device, const char *label, Error *err)
{
        _cleanup_close_ int fd = open(device->node, O_RDWR | O_CLOEXEC);
        unsigned char super[DISK_EXT4_SUPER_BYTES];
        int r = fd < 0 ? error_errno(err, errno, "open %s", device->node)
                       : disk_read(fd, device->node, super, sizeof(super), DISK_EXT4_SUPER_OFFSET,
                                   err);
        for (off_t i = 0; r >= 0 && i < DISK_EXT4_SUPER_BYTES; i++) {
                Error refusal = {};
                unsigned char spoilt = (unsigned char) ~super[i];
                if (pwrite(fd, &spoilt, 1, DISK_EXT4_SUPER_OFFSET + i) != 1) {
                        return error_errno(err, errno, "write %s", device->node);
                }
                int refused = format(device, label, 0, &refusal);
                printf("%s: %s\n", refused < 0 ? error_class_to_string(refusal.class) : "formatted",
                       refusal.message);
                if (pwrite(fd, &super[i], 1, DISK_EXT4_SUPER_OFFSET + i) != 1) {
                        return error_errno(err, errno, "write %s", device->node);
                }
        }
        return r;
}

/* `test_filesystem VERB NODE VOLUME LABEL`: one call on a real device; prints what came of it. */
static int tool(char **argv)
{
        Error err = {};
        Blockdev device = {};
        Wait wait = test_wait(60);
        const char *verb = argv[1], *volume_id = argv[3], *label = argv[4];
        int r = blockdev_find(volume_id, NULL, &device, &err);
        if (r == 0) {
                printf("absent\n");
                return EXIT_FAILURE;
        }
        if (r > 0 && !streq(device.node, argv[2])) {
                r = error_set(&err, ERROR_FATAL, ENODEV, "found %s", device.node);
        }
        if (r > 0 && streq(verb, "probe")) {
                DiskProbe probe;
                r = filesystem_probe(&device, label, &wait, &probe, &err);
                if (r >= 0) {
                        printf("%s: %s\n", disk_content_to_string(probe.content), probe.what);
                }
        } else if (r > 0 && streq(verb, "format")) {
                r = format(&device, label, 0, &err);
        } else if (r > 0 && streq(verb, "format-noise")) {
                r = format(&device, label, DISK_MASK(DISK_NOISE), &err);
        } else if (r > 0 && streq(verb, "format-spoilt")) {
                r = format_spoilt(&device, label, &err);
        } else if (r > 0 && streq(verb, "check")) {
                r = filesystem_check(&device, &wait, &err);
        } else if (r > 0 && streq(verb, "can-grow")) {
                uint64_t bytes = 0;
                r = filesystem_can_grow(&device, &bytes, &err);
                printf("%s\n", r > 0 ? "yes" : "no");
        } else if (r > 0 && streq(verb, "grow")) {
                r = filesystem_grow(&device, &wait, &err);
        }
        if (r < 0) {
                printf("%s: %s\n", error_class_to_string(err.class), err.message);
        }
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* Kills the process that enters the call for the nth time, each counted by itself; with `parent` (a
 * pidfd) that one in its place, while it is in the call. Returns once all that have the filter have
 * ended. https://docs.kernel.org/userspace-api/seccomp_filter.html */
static void kill_at(int listener, unsigned n, int parent)
{
        struct {
                pid_t pid;
                unsigned entered;
        } seen[64] = {};
        struct pollfd poll_fd = { .fd = listener, .events = POLLIN };
        while (poll(&poll_fd, 1, -1) > 0 && poll_fd.revents & POLLIN) {
                struct seccomp_notif call = {};
                if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call) < 0) {
                        continue; /* its process was killed */
                }
                size_t i = 0;
                while (i + 1 < ELEMENTS(seen) && seen[i].pid && seen[i].pid != (pid_t) call.pid) {
                        i++;
                }
                seen[i].pid = (pid_t) call.pid;
                if (++seen[i].entered == n && parent < 0) {
                        (void) kill(seen[i].pid, SIGKILL);
                        continue;
                }
                if (seen[i].entered == n) {
                        struct pollfd ended = { .fd = parent, .events = POLLIN };
                        (void) syscall(SYS_pidfd_send_signal, parent, SIGKILL, NULL, 0);
                        (void) poll(&ended, 1, -1);
                }
                struct seccomp_notif_resp go_on = { .id = call.id,
                                                    .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE };
                (void) ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &go_on); /* or it was killed */
        }
}

/* As the tool, but with KILL_AT=CALL:N in the environment it, or a program that it runs, is killed
 * as it enters its Nth such call; with KILL_AT=CALL:N:tool always the tool. strace can do the first
 * too, but stops at every call for it. */
static int killed_tool(const char *where, char **argv)
{
        static const struct {
                const char *name;
                unsigned number;
        } calls[] = { { "close:", SYS_close },
                      { "fallocate:", SYS_fallocate },
                      { "fsync:", SYS_fsync },
                      { "openat:", SYS_openat },
                      { "pwrite64:", SYS_pwrite64 } };
        unsigned number = UINT_MAX;
        FOREACH_ARRAY(call, calls, ELEMENTS(calls)) {
                number = string_starts_with(where, call->name) ? call->number : number;
        }
        struct sock_filter filter[] = {
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        struct sock_fprog program = { .len = ELEMENTS(filter), .filter = filter };
        int ends[2], theirs, status;
        if (pipe(ends) < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0) {
                return EXIT_FAILURE;
        }
        pid_t pid = fork();
        if (pid == 0) {
                theirs = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0
                                 ? -1
                                 : (int) syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                                                 SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
                if (write(ends[1], &theirs, sizeof(theirs)) != sizeof(theirs) || theirs < 0) {
                        _exit(EXIT_FAILURE);
                }
                exit(tool(argv));
        }
        (void) close(ends[1]);
        int process = (int) syscall(SYS_pidfd_open, pid, 0);
        if (read(ends[0], &theirs, sizeof(theirs)) == sizeof(theirs) && theirs >= 0) {
                int listener = (int) syscall(SYS_pidfd_getfd, process, theirs, 0);
                kill_at(listener, (unsigned) strtoul(strchr(where, ':') + 1, NULL, 10),
                        string_ends_with(where, ":tool") ? process : -1);
        }
        /* Also for an orphaned mkfs: what is reaped holds no disk any more. */
        int result = EXIT_FAILURE;
        for (pid_t ended = wait(&status); ended > 0; ended = wait(&status)) {
                if (ended == pid) {
                        result = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
                }
        }
        return result;
}

int main(int argc, char **argv)
{
        if (argc == 5) {
                return getenv("KILL_AT") ? killed_tool(getenv("KILL_AT"), argv) : tool(argv);
        }
        test_case("the verdict follows from the facts, all combinations", verdict_table);
        test_case("a disk of zeros is blank, whatever its size", zeros_are_blank);
        test_case("one byte at either end is data", one_byte_is_data);
        test_case("random bytes are noise", random_bytes_are_noise);
        test_case("a filesystem without its superblock is no noise", structure_is_no_noise);
        test_case("a block is zero, random or data", blocks_are_classed);
        for (tool_index = 0; tool_index < ELEMENTS(tools); tool_index++) {
                char name[96];
                (void) snprintf(name, sizeof(name), "%s is foreign", tools[tool_index].name);
                if (access(tools[tool_index].program, X_OK) == 0) {
                        test_case(name, tool_makes_foreign);
                } else {
                        test_skip(name, tools[tool_index].program);
                }
        }
        test_case("a RAID member is foreign", md_member);
        test_case("an LVM physical volume is foreign", lvm_physical_volume);
        test_case("a DOS partition table is foreign", dos_table);
        if (access("/sbin/sgdisk", X_OK) == 0) {
                test_case("the backup of a GPT alone is foreign", gpt_backup_alone);
        } else {
                test_skip("the backup of a GPT alone is foreign", "/sbin/sgdisk");
        }
        test_case("ext4 with our label is ours", ours);
        test_case("a damaged LVM header is foreign", damaged_lvm_header);
        test_case("CRC32C gives what its specification says", crc32c_vectors);
        test_case("ext4 with our label and a bad checksum, or none, is foreign",
                  checksum_of_a_superblock);
        test_case("ext4 with our label and a partition table is foreign", ours_with_a_table);
        test_case("two signatures are foreign", two_signatures);
        test_case("a marker alone is an interrupted mkfs", marker_alone);
        test_case("a marker and half a filesystem is an interrupted mkfs",
                  marker_and_half_a_filesystem);
        test_case("a marker of another volume or cluster is foreign", marker_of_another);
        test_case("a marker and its filesystem is interrupted until that was mounted",
                  marker_and_a_filesystem);
        test_case("a marker and another filesystem is foreign", marker_and_another_filesystem);
        test_case("what cannot be read is an error, not blank", unreadable_is_no_blank);
        return test_done();
}
