/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <errno.h>
#include <sched.h>
#include <unistd.h>

#include "ec2_world.h"
#include "engine/outcome.h"
#include "host/netif.h"
#include "host/process.h"

/* source-dest-check, elastic-ip, private-ip, run by the engine against an EC2 that keeps two
 * interfaces and an Elastic IP, in a network namespace of the test's own. */

#define OTHER_ENI  "eni-0fedcba9876543210"
#define EFA_ENI    "eni-000000000000000%02x"
#define ALLOCATION "eipalloc-0123456789abcdef0"
#define VOLUME     "vol-0123456789abcdef0"
#define MAC        "02:0a:0b:0c:0d:0e"
#define PRIMARY    "172.20.130.1"
#define FIXED      "172.20.128.9"

typedef struct Interface {
        const char *eni_id, *instance_id, *mac, *primary;
        bool check;
        bool has_fixed; /* as a secondary address */
} Interface;

static struct {
        Interface interfaces[2];
        const char *eip_eni, *eip_private;
        const char *holder;   /* of the volume, "" if nobody has it */
        bool denies, forgets; /* changes are refused; are said to be done and are not */
        bool is_changed;      /* an interface */
        unsigned late;        /* looks at the interfaces after a change that do not show it */
        unsigned efa_only;    /* interfaces more, as EC2 shows those without IP */
        bool is_busy;         /* changes are an InvalidParameterValue */
} world;

static void append_interface(Buffer *reply, const Interface *interface)
{
        int r = buffer_append_format(
                reply,
                "<item><networkInterfaceId>%s</networkInterfaceId><subnetId>subnet-1</subnetId>"
                "<macAddress>%s</macAddress><sourceDestCheck>%s</sourceDestCheck>"
                "<privateIpAddress>%s</privateIpAddress>"
                "<attachment><instanceId>%s</instanceId></attachment><privateIpAddressesSet>"
                "<item><privateIpAddress>%s</privateIpAddress><primary>true</primary></item>%s"
                "</privateIpAddressesSet></item>",
                interface->eni_id, interface->mac, interface->check ? "true" : "false",
                interface->primary, interface->instance_id, interface->primary,
                interface->has_fixed ? "<item><privateIpAddress>" FIXED "</privateIpAddress>"
                                       "<primary>false</primary></item>"
                                     : "");
        CHECK_INT(r, 0);
}

static char *describe_interfaces(const char *request)
{
        _cleanup_buffer_ Buffer reply = {};
        bool by_address = strstr(request, "addresses.private-ip-address") != NULL;
        bool is_late = world.late > 0 && world.is_changed;
        world.late -= is_late;
        FOREACH_ARRAY(now, world.interfaces, ELEMENTS(world.interfaces)) {
                Interface shown = *now, *interface = &shown;
                shown.check = shown.check || is_late;
                bool carries = interface->has_fixed || streq(interface->primary, FIXED);
                if (by_address ? carries : strstr(request, interface->eni_id) != NULL) {
                        append_interface(&reply, interface);
                }
        }
        for (unsigned i = 0; i < world.efa_only; i++) {
                char eni[32];
                (void) snprintf(eni, sizeof(eni), EFA_ENI, i);
                int r = !strstr(request, eni)
                                ? 0
                                : buffer_append_format(&reply,
                                                       "<item><networkInterfaceId>%s"
                                                       "</networkInterfaceId><subnetId>subnet-1"
                                                       "</subnetId><interfaceType>efa-only"
                                                       "</interfaceType></item>",
                                                       eni);
                CHECK_INT(r, 0);
        }
        return ec2_reply("<networkInterfaceSet>%s</networkInterfaceSet>",
                         reply.data ? reply.data : "");
}

static char *change(const char *request)
{
        if (world.denies) {
                return ec2_error("403 Forbidden", "UnauthorizedOperation", "not you");
        }
        if (world.is_busy) {
                return ec2_error("400 Bad Request", "InvalidParameterValue", "not yet");
        }
        if (is_action(request, "AssignPrivateIpAddresses") &&
            streq(world.interfaces[1].primary, FIXED)) {
                return ec2_error("400 Bad Request", "InvalidParameterValue", "a primary address");
        }
        FOREACH_ARRAY(interface, world.interfaces, ELEMENTS(world.interfaces)) {
                bool named = strstr(request, interface->eni_id) != NULL;
                if (world.forgets) {
                        break;
                }
                if (is_action(request, "AssignPrivateIpAddresses")) {
                        interface->has_fixed = named;
                } else if (named && is_action(request, "ModifyNetworkInterfaceAttribute")) {
                        interface->check = false;
                        world.is_changed = true;
                } else if (named && is_action(request, "AssociateAddress")) {
                        world.eip_eni = interface->eni_id;
                        world.eip_private =
                                strstr(request, "PrivateIpAddress=" PRIMARY) ? PRIMARY : "wrong";
                }
        }
        return ec2_reply("<return>true</return>");
}

static char *respond(const char *request, unsigned number)
{
        (void) number;
        if (is_action(request, "DescribeNetworkInterfaces")) {
                return describe_interfaces(request);
        }
        if (is_action(request, "DescribeAddresses")) {
                return ec2_reply("<addressesSet><item><publicIp>198.51.100.7</publicIp>"
                                 "<allocationId>" ALLOCATION "</allocationId>"
                                 "<networkInterfaceId>%s</networkInterfaceId>"
                                 "<privateIpAddress>%s</privateIpAddress></item></addressesSet>",
                                 world.eip_eni, world.eip_private);
        }
        if (is_action(request, "DescribeVolumes")) {
                _cleanup_free_ char *attachment = string_format(
                        "<item><volumeId>" VOLUME "</volumeId><instanceId>%s</instanceId>"
                        "<device>/dev/xvdb</device><status>attached</status>"
                        "<attachTime>2026-02-03T04:05:06.000Z</attachTime></item>",
                        world.holder);
                return ec2_reply(
                        "<volumeSet><item><volumeId>" VOLUME "</volumeId><size>8</size>"
                        "<availabilityZone>" ZONE "</availabilityZone><status>%s</status>"
                        "<attachmentSet>%s</attachmentSet>"
                        "<multiAttachEnabled>false</multiAttachEnabled></item></volumeSet>",
                        *world.holder ? "in-use" : "available",
                        *world.holder && attachment ? attachment : "");
        }
        return change(request);
}

static void add_interface(const char *eni_id, const char *mac)
{
        ImdsInterface *i = &boot.identity.interfaces[boot.identity.n_interfaces++];
        (void) snprintf(i->eni_id, sizeof(i->eni_id), "%s", eni_id);
        (void) snprintf(i->mac, sizeof(i->mac), "%s", mac);
}

static bool ip(const char *const *arguments)
{
        const char *argv[16] = { "/sbin/ip" };
        for (size_t n = 1; *arguments; n++) {
                argv[n] = *arguments++;
        }
        _cleanup_process_result_ ProcessResult result = {};
        Error err = {};
        Wait wait = test_patience();
        return process_run_checked(&(ProcessOptions) { .argv = argv }, &wait, &result, &err) == 0;
}

#define IP(...) ip((const char *const[]) { __VA_ARGS__, NULL })

static bool forget_address(void)
{
        return IP("address", "delete", FIXED "/32", "dev", "card");
}

static Netif card(void)
{
        Netif netif = {};
        Error err = {};
        CHECK_INT(netif_find_by_name("card", &netif, &err), 1);
        return netif;
}

static void fresh(void)
{
        static char allocation[] = ALLOCATION, volume[] = VOLUME;
        world.interfaces[0] = (Interface) { ENI, INSTANCE, MAC, PRIMARY, .check = true };
        world.interfaces[1] = (Interface) { OTHER_ENI, HOLDER, "02:00:00:00:00:01", "172.20.130.2",
                                            .check = true };
        world.eip_eni = world.eip_private = "";
        world.denies = world.forgets = false;
        world.is_changed = false;
        world.late = 0;
        world.efa_only = 0;
        world.holder = INSTANCE;
        boot.config.master_eip_allocation_id = allocation;
        boot.config.master_volume_id = volume;
        CHECK_INT(inet_pton(AF_INET, FIXED, &boot.config.master_private_ip), 1);
        boot.identity.n_interfaces = 0;
        boot.checks_are_fresh = boot.fixed_address_is_fresh = boot.elastic_ip_is_fresh = false;
        (void) snprintf(boot.subnet_id, sizeof(boot.subnet_id), "subnet-1");
        (void) snprintf(boot.identity.local_ip, sizeof(boot.identity.local_ip), PRIMARY);
        (void) snprintf(boot.identity.subnet_cidr, sizeof(boot.identity.subnet_cidr),
                        "172.20.128.0/20");
        add_interface(ENI, MAC);
        server_reset(&server, respond);
}

#define RUN(step, status, err) \
        run_step(step##_probe, step##_apply, MACHINE_CONVERGE, (status), (err))

static void check_is_cleared(void)
{
        StepStatus status;
        Error err;
        fresh();
        CHECK_OK(RUN(source_dest_check, &status, &err), err);
        CHECK(!world.interfaces[0].check && world.interfaces[1].check);
        CHECK_INT(server_count(&server), 3);
        server_reset(&server, respond);
        CHECK_OK(RUN(source_dest_check, &status, &err), err);
        CHECK_INT(server_count(&server), 1);
}

static void check_on_every_interface(void)
{
        StepStatus status;
        Error err;
        fresh();
        add_interface(OTHER_ENI, "02:00:00:00:00:01");
        world.interfaces[0].check = false; /* a first one that is so is not enough */
        CHECK_OK(RUN(source_dest_check, &status, &err), err);
        CHECK(!world.interfaces[0].check && !world.interfaces[1].check);
        CHECK_INT(count_action("ModifyNetworkInterfaceAttribute"), 1); /* where it was on */
}

/* What identity has just seen is the first look, and no later one. */
static void check_begins_with_what_identity_saw(void)
{
        StepStatus status;
        Error err;
        fresh();
        boot.checks_are_fresh = boot.checked[0] = true;
        CHECK_OK(RUN(source_dest_check, &status, &err), err);
        CHECK(!world.interfaces[0].check);
        CHECK_INT(server_count(&server), 2); /* with identity's call, what a node may spend: 3 */
        world.interfaces[0].check = true;    /* somebody has switched it on */
        CHECK_OK(RUN(source_dest_check, &status, &err), err);
        CHECK(!world.interfaces[0].check);

        fresh();
        boot.checks_are_fresh = true;
        boot.checked[0] = false;
        CHECK_OK(RUN(source_dest_check, &status, &err), err);
        CHECK_INT(server_count(&server), 0);
}

/* A p5.48xlarge has 32 network cards, with EFA-only interfaces on 31 of them: nothing to clear
 * there, and nothing to wait for. */
static void check_with_many_cards(void)
{
        StepStatus status;
        Error err;
        fresh();
        world.efa_only = 31;
        for (unsigned i = 0; i < world.efa_only; i++) {
                char eni[32], mac[18];
                (void) snprintf(eni, sizeof(eni), EFA_ENI, i);
                (void) snprintf(mac, sizeof(mac), "02:00:00:00:01:%02x", i);
                add_interface(eni, mac);
        }
        CHECK_OK(RUN(source_dest_check, &status, &err), err);
        CHECK(!world.interfaces[0].check);
        CHECK_INT(server_count(&server), 3);
        CHECK_INT(count_action("ModifyNetworkInterfaceAttribute"), 1);
}

/* What EC2 says it has done is not believed. */
static void changes_are_read_back(void)
{
        StepStatus status;
        Error err;
        fresh();
        world.forgets = true;
        deadline_s = 1;
        CHECK(RUN(source_dest_check, &status, &err) < 0);
        CHECK(count_action("DescribeNetworkInterfaces") > 1);
        CHECK(RUN(elastic_ip, &status, &err) < 0);
        CHECK(count_action("DescribeAddresses") > 1);
        deadline_s = test_patience_s();
}

/* The row of the table gives it time: the change is not asked for again. */
static void a_late_reading_is_waited_for(void)
{
        MachineStatus status;
        Error err;
        fresh();
        world.late = 2;
        Step row = boot_steps[BOOT_SOURCE_DEST_CHECK];
        row.needs = 0;
        CHECK_OK(run_rows(&row, 1, MACHINE_CONVERGE, &status, &err), err);
        CHECK_INT(world.late, 0);
        CHECK_INT(count_action("ModifyNetworkInterfaceAttribute"), 1);
        CHECK_INT(status.steps[0].attempts, 1);
}

static void denials_name_the_action(void)
{
        StepStatus status;
        Error err;
        fresh();
        world.denies = true;
        CHECK(RUN(source_dest_check, &status, &err) < 0);
        CHECK_INT(err.class, ERROR_DENIED);
        CHECK_CONTAINS(err.message, "ec2:ModifyNetworkInterfaceAttribute");
        CHECK_CONTAINS(err.message, ENI);
        CHECK(RUN(elastic_ip, &status, &err) < 0);
        CHECK_INT(err.class, ERROR_DENIED);
        CHECK_CONTAINS(err.message, "ec2:AssociateAddress");
        CHECK_CONTAINS(err.message, ALLOCATION);
}

static void elastic_ip_moves(void)
{
        static const char *const before[][2] = { { "", "" },
                                                 { OTHER_ENI, "172.20.130.2" },
                                                 { ENI, FIXED } };
        for (size_t i = 0; i < ELEMENTS(before); i++) {
                StepStatus status;
                Error err;
                fresh();
                world.eip_eni = before[i][0];
                world.eip_private = before[i][1];
                CHECK_OK(RUN(elastic_ip, &status, &err), err);
                CHECK_STR(world.eip_eni, ENI);
                CHECK_STR(world.eip_private, PRIMARY);
                server_reset(&server, respond);
                CHECK_OK(RUN(elastic_ip, &status, &err), err);
                CHECK_INT(count_action("AssociateAddress"), 0);
        }
}

/* A new master has the volume, and the address with it: the old one, if it still runs, looks on. */
static void elastic_ip_stays_with_the_volume(void)
{
        static const char *const holders[] = { HOLDER, "" };
        FOREACH_ARRAY(holder, holders, ELEMENTS(holders)) {
                StepStatus status;
                Error err;
                fresh();
                world.eip_eni = OTHER_ENI;
                world.eip_private = "172.20.130.2";
                world.holder = *holder;
                deadline_s = 1;
                CHECK(RUN(elastic_ip, &status, &err) < 0);
                deadline_s = test_patience_s();
                CHECK_INT(err.class, ERROR_RETRY);
                CHECK(count_action("DescribeVolumes") > 0);
                CHECK_STR(world.eip_eni, OTHER_ENI);
                CHECK_INT(count_action("AssociateAddress"), 0);
        }
}

static void private_ip_is_taken(void)
{
        for (unsigned held_by_other = 0; held_by_other < 2; held_by_other++) {
                StepStatus status;
                Error err;
                fresh();
                Netif netif = card();
                world.interfaces[1].has_fixed = held_by_other;
                CHECK_OK(RUN(private_ip, &status, &err), err);
                CHECK(world.interfaces[0].has_fixed && !world.interfaces[1].has_fixed);
                CHECK_INT(netif_has_address(&netif, boot.config.master_private_ip, &err), 1);
                server_reset(&server, respond);
                CHECK_OK(RUN(private_ip, &status, &err), err);
                CHECK_INT(server_count(&server), 1);

                /* networkd has dropped it: only the kernel is told again */
                CHECK(forget_address());
                CHECK_OK(RUN(private_ip, &status, &err), err);
                CHECK_INT(netif_has_address(&netif, boot.config.master_private_ip, &err), 1);
                CHECK_INT(count_action("AssignPrivateIpAddresses"), 0);
                CHECK(forget_address());
        }
}

static void private_ip_is_primary_elsewhere(void)
{
        StepStatus status;
        Error err;
        fresh();
        world.interfaces[1].primary = FIXED;
        CHECK(RUN(private_ip, &status, &err) < 0);
        CHECK_INT(err.class, ERROR_CONFIG);
        CHECK_CONTAINS(err.message, FIXED);
        CHECK_CONTAINS(err.message, OTHER_ENI);
        CHECK_CONTAINS(err.message, HOLDER);
        CHECK_INT(outcome_of(&err)->before_ready, OUTCOME_AGAIN); /* that instance may end */
        CHECK_INT(count_action("AssignPrivateIpAddresses"), 1);   /* EC2 has refused it, once */
        CHECK(!world.interfaces[0].has_fixed);
        Netif netif = card();
        CHECK_INT(netif_has_address(&netif, boot.config.master_private_ip, &err), 0);

        /* and a refusal for another reason is EC2's */
        fresh();
        world.denies = true;
        CHECK(RUN(private_ip, &status, &err) < 0);
        CHECK_INT(err.class, ERROR_DENIED);
        CHECK_CONTAINS(err.message, "ec2:AssignPrivateIpAddresses");
}

/* What identity and secrets have just seen elsewhere is the first look, and no later one. */
static void addresses_begin_with_what_was_seen(void)
{
        StepStatus status;
        Error err;
        fresh();
        boot.has_fixed_address = false;
        boot.fixed_address_is_fresh = true;
        CHECK_OK(RUN(private_ip, &status, &err), err);
        CHECK_INT(count_action("AssignPrivateIpAddresses"), 1);
        CHECK_INT(server_count(&server), 2);

        fresh();
        Wait wait = test_patience();
        CHECK_OK(boot_look_at_elastic_ip(&boot, &wait, &err), err);
        CHECK_STR(boot.elastic_ip.public_ip, "198.51.100.7");
        boot.elastic_ip_is_fresh = true;
        server_reset(&server, respond);
        CHECK_OK(RUN(elastic_ip, &status, &err), err);
        CHECK_INT(count_action("AssociateAddress"), 1);
        CHECK_INT(count_action("DescribeAddresses"), 1);
        world.eip_eni = OTHER_ENI; /* somebody has taken it */
        CHECK_OK(RUN(elastic_ip, &status, &err), err);
        CHECK_STR(world.eip_eni, ENI);
}

/* What EC2 may answer while the interface that had the address is being deleted is not final. */
static void refusals_that_may_pass(void)
{
        StepStatus status;
        Error err;
        fresh();
        world.is_busy = true;
        world.eip_eni = OTHER_ENI;
        CHECK(RUN(elastic_ip, &status, &err) < 0);
        CHECK_STR(err.aws_code, "InvalidParameterValue");
        CHECK_INT(outcome_of(&err)->before_ready, OUTCOME_AGAIN);
        CHECK(RUN(private_ip, &status, &err) < 0);
        CHECK_STR(err.aws_code, "InvalidParameterValue");
        CHECK_INT(outcome_of(&err)->before_ready, OUTCOME_AGAIN);
        world.is_busy = false;
        CHECK_OK(RUN(elastic_ip, &status, &err), err);
        CHECK_OK(RUN(private_ip, &status, &err), err);
        CHECK(forget_address());
}

static void private_ip_outside_the_subnet(void)
{
        StepStatus status;
        Error err;
        fresh();
        CHECK_INT(inet_pton(AF_INET, "172.20.144.9", &boot.config.master_private_ip), 1);
        CHECK(RUN(private_ip, &status, &err) < 0);
        CHECK_INT(err.class, ERROR_CONFIG);
        CHECK_CONTAINS(err.message, "172.20.144.9");
        CHECK_CONTAINS(err.message, "172.20.128.0/20");
        CHECK_CONTAINS(err.message, "MASTER_PRIVATE_IP in " STACK_CONFIG_PATH);
        CHECK_INT(server_count(&server), 0);
}

static void no_interface_known(void)
{
        StepStatus status;
        Error err;
        fresh();
        boot.identity.n_interfaces = 0;
        CHECK(RUN(elastic_ip, &status, &err) < 0);
        CHECK(RUN(private_ip, &status, &err) < 0);
        CHECK(RUN(source_dest_check, &status, &err) < 0);
        CHECK_INT(server_count(&server), 0);
}

int main(void)
{
        static const struct {
                const char *name;
                void (*function)(void);
                bool needs_card;
        } cases[] = {
                { "the source/destination check is cleared in three calls, then in one",
                  check_is_cleared },
                { "it is cleared on every interface", check_on_every_interface },
                { "it is cleared by what identity saw, once", check_begins_with_what_identity_saw },
                { "interfaces of 32 network cards", check_with_many_cards },
                { "a change that EC2 forgot is not done", changes_are_read_back },
                { "a change that EC2 does not show yet is waited for",
                  a_late_reading_is_waited_for },
                { "a denial names the action and the resource", denials_name_the_action },
                { "the Elastic IP moves to the primary address, once", elastic_ip_moves },
                { "the Elastic IP stays with who has the volume",
                  elastic_ip_stays_with_the_volume },
                { "the fixed address is taken, in EC2 and in the kernel, once", private_ip_is_taken,
                  true },
                { "the fixed address as another's primary is refused",
                  private_ip_is_primary_elsewhere, true },
                { "addresses: what was just seen elsewhere is not asked again",
                  addresses_begin_with_what_was_seen, true },
                { "a refusal that may pass is not final", refusals_that_may_pass, true },
                { "a fixed address outside the subnet is refused", private_ip_outside_the_subnet },
                { "without an interface nothing is asked for", no_interface_known },
        };
        bool has_card = unshare(CLONE_NEWNET) == 0 && IP("link", "set", "lo", "up") &&
                        IP("link", "add", "card", "address", MAC, "type", "veth", "peer", "name",
                           "cable") &&
                        IP("link", "set", "card", "up");
        start_world();
        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                if (cases[i].needs_card && !has_card) {
                        test_skip(cases[i].name, "a network namespace needs root and ip");
                } else {
                        test_case(cases[i].name, cases[i].function);
                }
        }
        server_reset(&server, NULL);
        aws_client_free(boot.aws);
        credentials_free(boot.credentials);
        http_done();
        return test_done();
}
