/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "harness.h"
#include "host/blockdev.h"

/* A /sys and a /dev of the test's own. Nodes are never opened, only looked at; making them needs
 * root. */

#define VOLUME "vol-0123456789abcdef0"
#define SERIAL "vol0123456789abcdef0   "

static char sys_root[PATH_MAX], dev_root[PATH_MAX];
static bool can_make_nodes;

static void put(const char *disk, const char *attribute, const char *text)
{
        char path[2 * PATH_MAX], folder[2 * PATH_MAX];
        (void) snprintf(path, sizeof(path), "%s/block/%s/%s", sys_root, disk, attribute);
        (void) snprintf(folder, sizeof(folder), "%s", path);
        *strrchr(folder, '/') = '\0';
        Error err = {};
        CHECK_OK(file_make_directory(folder, 0755, &err), err);
        CHECK_OK(file_write(path, text, strlen(text), 0644, &err), err);
}

static void make_node(const char *disk, unsigned major_number, unsigned minor_number)
{
        char path[2 * PATH_MAX];
        (void) snprintf(path, sizeof(path), "%s/%s", dev_root, disk);
        (void) unlink(path);
        if (can_make_nodes) {
                CHECK(mknod(path, S_IFBLK | 0600, makedev(major_number, minor_number)) == 0);
        }
}

/* An empty machine. */
static void fresh(void)
{
        static unsigned n;
        static char probe[2 * PATH_MAX];
        Error err = {};
        n++;
        (void) snprintf(sys_root, sizeof(sys_root), "%s/sys%u", test_folder(), n);
        (void) snprintf(dev_root, sizeof(dev_root), "%s/d%u", test_folder(), n);
        char block[2 * PATH_MAX];
        (void) snprintf(block, sizeof(block), "%s/block", sys_root);
        CHECK_OK(file_make_directory(block, 0755, &err), err);
        CHECK_OK(file_make_directory(dev_root, 0755, &err), err);
        (void) snprintf(probe, sizeof(probe), "%s/probe", dev_root);
        bool fits = strlen(dev_root) + sizeof("/nvme0n10") <= BLOCKDEV_NODE_MAX;
        can_make_nodes = fits && mknod(probe, S_IFBLK | 0600, makedev(1, 1)) == 0;
        blockdev_set_roots(sys_root, dev_root);
}

static void add_disk(const char *disk, const char *dev, const char *sectors)
{
        put(disk, "dev", dev);
        put(disk, "size", sectors);
}

static int find(const char *device_name, Blockdev *ret, Error *err)
{
        return blockdev_find(VOLUME, device_name, ret, err);
}

static void nvme_by_serial(void)
{
        Blockdev device = {};
        Error err = {};
        fresh();
        add_disk("nvme0n1", "259:0\n", "16777216\n");
        put("nvme0n1", "device/serial", "vol0ffffffffffffffff\n");
        make_node("nvme0n1", 259, 0);
        CHECK_INT(find("/dev/sdf", &device, &err), 0);
        add_disk("nvme1n1", "259:3\n", "41943040\n");
        put("nvme1n1", "device/serial", SERIAL "\n");
        CHECK_INT(find("/dev/sdf", &device, &err), 0); /* no node yet */
        make_node("nvme1n1", 259, 4);
        CHECK_INT(find("/dev/sdf", &device, &err), 0); /* another disk's node */
        make_node("nvme1n1", 259, 3);
        CHECK_INT(find("/dev/sdf", &device, &err), 1);
        CHECK_STR(strrchr(device.node, '/'), "/nvme1n1");
        CHECK_INT(device.kind, BLOCKDEV_NVME);
        CHECK_INT(device.devnum, makedev(259, 3));
        CHECK_INT(device.size_bytes, 41943040LL * 512);
        put("nvme1n1", "device/serial", "vol-0123456789abcdef0");
        CHECK_INT(find(NULL, &device, &err), 1);
        put("nvme1n1", "size", "0\n");
        CHECK_INT(find(NULL, &device, &err), 0);
        put("nvme1n1", "size", "many\n");
        CHECK(find(NULL, &device, &err) < 0);
        CHECK_CONTAINS(err.message, "many");
}

static void nvme_names(void)
{
        static const char *const others[] = { "nvme1n1p1", "nvme1c0n1", "nvme1n2",
                                              "nvme1",     "nvmen1",    "nvme1n11" };
        Blockdev device = {};
        Error err = {};
        for (size_t i = 0; i < ELEMENTS(others); i++) {
                fresh();
                add_disk(others[i], "259:3\n", "41943040\n");
                put(others[i], "device/serial", SERIAL);
                make_node(others[i], 259, 3);
                CHECK_INT(find("/dev/sdf", &device, &err), 0);
        }
}

static void loop_by_backing_file(void)
{
        static const struct {
                const char *file;
                int found;
        } cases[] = {
                { "/var/lib/volumes/" VOLUME ".img\n", 1 },
                { VOLUME ".img\n", 1 },
                { "/var/lib/volumes/" VOLUME ".img (deleted)\n", 0 },
                { "/var/lib/volumes/" VOLUME "0.img\n", 0 },
                { "/var/lib/volumes/x" VOLUME ".img\n", 0 },
                { "/var/lib/" VOLUME ".img/other\n", 0 },
                { "\n", 0 },
        };
        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                Blockdev device = {};
                Error err = {};
                fresh();
                add_disk("loop3", "7:3\n", "2097152\n");
                put("loop3", "loop/backing_file", cases[i].file);
                make_node("loop3", 7, 3);
                CHECK_INT(find("/dev/sdf", &device, &err), cases[i].found);
                if (cases[i].found) {
                        CHECK_INT(device.kind, BLOCKDEV_LOOP);
                }
        }
}

static void xen_by_name(void)
{
        static const struct {
                const char *name;
                int found;
        } cases[] = {
                { "/dev/sdf", 1 }, { "sdf", 1 },       { "/dev/xvdf", 1 },
                { "/dev/sdg", 0 }, { "/dev/sd", 0 },   { "", 0 },
                { NULL, 0 },       { "/dev/sdf1", 0 }, { "/dev/hdf", 0 },
        };
        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                Blockdev device = {};
                Error err = {};
                fresh();
                add_disk("xvdf", "202:80\n", "2097152\n");
                make_node("xvdf", 202, 80);
                CHECK_INT(find(cases[i].name, &device, &err), cases[i].found);
                if (cases[i].found) {
                        CHECK_INT(device.kind, BLOCKDEV_XEN);
                        CHECK_OK(blockdev_verify(&device, &err), err);
                }
        }
}

/* On Nitro a name says nothing, even if a disk of that name is there. */
static void serial_before_name(void)
{
        Blockdev device = {};
        Error err = {};
        fresh();
        add_disk("xvdf", "202:80\n", "2097152\n");
        make_node("xvdf", 202, 80);
        add_disk("nvme2n1", "259:5\n", "41943040\n");
        put("nvme2n1", "device/serial", SERIAL);
        make_node("nvme2n1", 259, 5);
        CHECK_INT(find("/dev/sdf", &device, &err), 1);
        CHECK_INT(device.kind, BLOCKDEV_NVME);
}

static void two_claims_are_unsafe(void)
{
        Blockdev device = { .node = "untouched" };
        Error err = {};
        fresh();
        for (unsigned i = 1; i <= 2; i++) {
                char disk[16], dev[16];
                (void) snprintf(disk, sizeof(disk), "nvme%un1", i);
                (void) snprintf(dev, sizeof(dev), "259:%u", i);
                add_disk(disk, dev, "41943040\n");
                put(disk, "device/serial", SERIAL);
                make_node(disk, 259, i);
        }
        CHECK(find("/dev/sdf", &device, &err) < 0);
        CHECK_INT(err.class, ERROR_UNSAFE);
        CHECK_CONTAINS(err.message, VOLUME);
        CHECK_CONTAINS(err.message, "nvme1n1");
        CHECK_CONTAINS(err.message, "nvme2n1");
        CHECK_STR(device.node, "untouched");
}

static void unreadable_is_no_absence(void)
{
        Blockdev device = {};
        Error err = {};
        fresh();
        add_disk("nvme1n1", "259:3\n", "41943040\n");
        put("nvme1n1", "device/serial/folder", "x"); /* reading a folder: EISDIR */
        make_node("nvme1n1", 259, 3);
        CHECK(find("/dev/sdf", &device, &err) < 0);
        CHECK_CONTAINS(err.message, "serial");

        blockdev_set_roots("/nonexistent", dev_root);
        CHECK(find("/dev/sdf", &device, &err) < 0);
}

static void verify_notices_a_swap(void)
{
        Blockdev device = {};
        Error err = {};
        fresh();
        add_disk("nvme1n1", "259:3\n", "41943040\n");
        put("nvme1n1", "device/serial", SERIAL);
        make_node("nvme1n1", 259, 3);
        REQUIRE(find("/dev/sdf", &device, &err) == 1);
        CHECK_OK(blockdev_verify(&device, &err), err);
        CHECK_STR(device.volume_id, VOLUME);
        Blockdev other = device;
        (void) snprintf(other.volume_id, sizeof(other.volume_id), "vol-0fffffffffffffff0");
        CHECK(blockdev_verify(&other, &err) < 0);
        CHECK_INT(err.class, ERROR_UNSAFE);

        put("nvme1n1", "device/serial", "vol0fffffffffffffff0"); /* the name went to another disk */
        CHECK(blockdev_verify(&device, &err) < 0);
        CHECK_INT(err.class, ERROR_UNSAFE);
        CHECK_CONTAINS(err.message, "no longer volume " VOLUME);

        put("nvme1n1", "device/serial", SERIAL);
        put("nvme1n1", "dev", "259:9\n");
        CHECK(blockdev_verify(&device, &err) < 0);
        CHECK_INT(err.class, ERROR_UNSAFE);

        put("nvme1n1", "dev", "259:3\n");
        make_node("nvme1n1", 259, 9);
        CHECK(blockdev_verify(&device, &err) < 0);
        CHECK_INT(err.class, ERROR_UNSAFE);
}

static void *appear_later(void *unused)
{
        (void) unused;
        struct timespec pause = { .tv_nsec = 300 * 1000 * 1000 };
        (void) nanosleep(&pause, NULL);
        add_disk("nvme1n1", "259:3\n", "41943040\n");
        put("nvme1n1", "device/serial", SERIAL);
        make_node("nvme1n1", 259, 3);
        return NULL;
}

static void wait_for_it(void)
{
        Blockdev device = {};
        Error err = {};
        fresh();
        pthread_t thread;
        REQUIRE(pthread_create(&thread, NULL, appear_later, NULL) == 0);
        Wait wait = test_patience();
        int r = blockdev_wait(VOLUME, "/dev/sdf", &wait, &device, &err);
        (void) pthread_join(thread, NULL);
        CHECK_OK(r, err);
        CHECK_STR(strrchr(device.node, '/'), "/nvme1n1");
}

static void wait_ends(void)
{
        Blockdev device = {};
        Error err = {};
        fresh();
        Wait wait = { .deadline_ms = wait_now_ms() + 150, .stop_fd = -1 };
        CHECK_INT(blockdev_wait(VOLUME, "/dev/sdf", &wait, &device, &err), -ETIMEDOUT);
        CHECK_INT(err.class, ERROR_RETRY);
        CHECK_CONTAINS(err.message, VOLUME);
        int pipe_fds[2];
        REQUIRE(pipe(pipe_fds) == 0);
        REQUIRE(write(pipe_fds[1], "x", 1) == 1);
        wait = test_patience();
        wait.stop_fd = pipe_fds[0];
        CHECK_INT(blockdev_wait(VOLUME, "/dev/sdf", &wait, &device, &err), -ECANCELED);
        (void) close(pipe_fds[0]);
        (void) close(pipe_fds[1]);
}

/* Without root there are no nodes, and then nothing is ever found. */
static void needs_nodes(const char *name, void (*function)(void))
{
        fresh();
        if (can_make_nodes) {
                test_case(name, function);
                return;
        }
        test_skip(name, "making device nodes needs root and a short TMPDIR");
}

int main(void)
{
        needs_nodes("an NVMe disk is found by its serial, once its node is there", nvme_by_serial);
        needs_nodes("partitions, paths and other namespaces are passed over", nvme_names);
        needs_nodes("a loop device is found by its backing file's name", loop_by_backing_file);
        needs_nodes("a Xen disk is found by the attachment's device name", xen_by_name);
        needs_nodes("a serial counts before a name", serial_before_name);
        needs_nodes("two disks that claim the same volume are unsafe", two_claims_are_unsafe);
        test_case("what cannot be read is an error, not absence", unreadable_is_no_absence);
        needs_nodes("verify notices that a node has become another disk", verify_notices_a_swap);
        needs_nodes("wait returns once the disk appears", wait_for_it);
        test_case("wait ends by its deadline and by a stop request", wait_ends);
        return test_done();
}
