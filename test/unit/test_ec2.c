/* SPDX-License-Identifier: Apache-2.0 */
#include "aws/ec2.h"

#include <errno.h>

#include "aws/ec2_internal.h"
#include "aws/xml.h"
#include "base/file.h"
#include "scripted_server.h"

#define VOLUME     "vol-0123456789abcdef0"
#define INSTANCE   "i-1234567890abcdef0"
#define INTERFACE  "eni-0123456789abcdef0"
#define ALLOCATION "eipalloc-0123456789abcdef0"
#define OK         "<Response><requestId>r</requestId><return>true</return></Response>"

static ScriptedServer server;
static AwsClient *client;

static XmlNode *parse(const char *text)
{
        XmlNode *root = NULL;
        Error err = {};
        if (xml_parse(text, strlen(text), &root, &err) < 0) {
                test_fail(__FILE__, __LINE__, "%s", err.message);
        }
        return root;
}

/* A recorded reply. */
static char *read_vector(const char *name)
{
        char path[128];
        Buffer text = {};
        Error err = {};
        (void) snprintf(path, sizeof(path), "test/vectors/ec2/%s.xml", name);
        if (file_read(path, 1 << 20, &text, &err) < 0) {
                test_fail(__FILE__, __LINE__, "%s", err.message);
        }
        return text.data ? text.data : strdup("");
}

static void answer(const char *vector)
{
        _cleanup_free_ char *body = read_vector(vector);
        server_reset(&server, NULL);
        server_script(&server, "200 OK", "Content-Type: text/xml\r\n", body);
}

static const char *asked(void)
{
        const char *body = strstr(server_request(&server, 0), "\r\n\r\n");
        return body ? body + 4 : "";
}

static void test_volume(void)
{
        Ec2Volume volume = {};
        Wait wait = test_patience();
        Error err = {};
        answer("describe-volumes");
        CHECK_OK(ec2_describe_volume(client, VOLUME, &wait, &volume, &err), err);
        CHECK_STR(asked(), "Action=DescribeVolumes&Version=2016-11-15&VolumeId.1=" VOLUME);
        CHECK(string_starts_with(server_request(&server, 0), "POST / HTTP/1.1\r\n"));
        CHECK_CONTAINS(server_request(&server, 0),
                       "Content-Type: application/x-www-form-urlencoded; charset=utf-8\r\n");
        CHECK_STR(volume.state, "in-use");
        CHECK_STR(volume.zone, "us-east-1a");
        CHECK_INT(volume.size_gib, 80);
        CHECK(!volume.multi_attach);
        CHECK(volume.attached);
        CHECK_STR(volume.attachment.instance_id, INSTANCE); /* not the one that is detached */
        CHECK_STR(volume.attachment.device, "/dev/sdf");
        CHECK_STR(volume.attachment.state, "attached");
        CHECK_STR(volume.attachment.since, "2026-02-03T04:05:06.000Z");
        CHECK(volume.encrypted);
        CHECK_STR(volume.snapshot_id, "");
        CHECK_STR(volume.stack_id,
                  "arn:aws:cloudformation:us-east-1:123456789012:stack/kube/0a1b2c3d");

        CHECK_OK(ec2_describe_volume(client, "vol-00000000000000001", &wait, &volume, &err), err);
        CHECK_STR(volume.state, "available");
        CHECK(volume.multi_attach);
        CHECK(!volume.attached);
        CHECK_STR(volume.attachment.instance_id, "");
        CHECK(!volume.encrypted); /* not said */
        CHECK_STR(volume.snapshot_id, "snap-0123456789abcdef0");
        CHECK_STR(volume.stack_id, "");

        CHECK_INT(ec2_describe_volume(client, "vol-2", &wait, &volume, &err), -ENOENT);
        CHECK_INT(err.class, ERROR_RETRY);
        CHECK_STR(volume.state, "available"); /* untouched */
}

static void test_instance(void)
{
        char state[24] = "kept";
        Wait wait = test_patience();
        Error err = {};
        answer("describe-instances");
        CHECK_INT(ec2_describe_instance_state(client, INSTANCE, &wait, state, &err), 1);
        CHECK_STR(state, "running");
        CHECK_STR(asked(), "Action=DescribeInstances&Version=2016-11-15&InstanceId.1=" INSTANCE);

        server_reset(&server, NULL);
        server_script(&server, "200 OK", "", "<Response><reservationSet/></Response>");
        CHECK_INT(ec2_describe_instance_state(client, INSTANCE, &wait, state, &err), 0);
        server_reset(&server, NULL);
        server_script(&server, "400 Bad", "",
                      "<Response><Errors><Error><Code>InvalidInstanceID.NotFound</Code></Error>"
                      "</Errors></Response>");
        CHECK_INT(ec2_describe_instance_state(client, INSTANCE, &wait, state, &err), 0);
        CHECK_INT(server_count(&server), 1);
        server_reset(&server, NULL);
        server_script(&server, "403 No", "",
                      "<Response><Errors><Error><Code>UnauthorizedOperation</Code></Error>"
                      "</Errors></Response>");
        CHECK(ec2_describe_instance_state(client, INSTANCE, &wait, state, &err) < 0);
        CHECK_INT(err.class, ERROR_DENIED);
        CHECK_CONTAINS(err.message, "ec2:DescribeInstances on " INSTANCE);
        CHECK_STR(state, "running");
}

#define INSTANCE_ITEM(id, state, name, tags)                                                     \
        "<item><instanceId>" id "</instanceId><instanceState><name>" state "</name>"             \
        "</instanceState><privateDnsName>what-dhcp-says</privateDnsName><tagSet>" tags           \
        "</tagSet><networkInterfaceSet>" INTERFACE_ITEM("0", "0", name) "</networkInterfaceSet>" \
                                                                        "</item>"
#define INTERFACE_ITEM(card, device, name)                                                \
        "<item><privateDnsName>" name "</privateDnsName><attachment><deviceIndex>" device \
        "</deviceIndex><networkCardIndex>" card "</networkCardIndex></attachment></item>"
#define TAG(key, value)    "<item><key>" key "</key><value>" value "</value></item>"
#define RESERVATION(items) "<item><instancesSet>" items "</instancesSet></item>"

static void test_named_instances(void)
{
        static const char *const names[] = { "ip-1.ec2.internal", "ip-2.ec2.internal",
                                             "ip-3.ec2.internal" };
        static const char reply[] = "<Response><reservationSet>" RESERVATION(
                INSTANCE_ITEM("i-1", "running", "ip-1.ec2.internal",
                              TAG("Name", "x") TAG("KubernetesRole", "node"))
                        INSTANCE_ITEM("i-9", "terminated", "ip-1.ec2.internal",
                                      TAG("KubernetesRole", "master")))
                RESERVATION(INSTANCE_ITEM("i-2", "stopped", "ip-2.ec2.internal",
                                          TAG("KubernetesRole", "a-role-that-nobody-has-here")))
                        RESERVATION(INSTANCE_ITEM("i-7", "running", "ip-7",
                                                  "")) "</reservationSet></Response>";
        Ec2Instance found[EC2_NAMES_MAX + 1] = { { "kept" } };
        Wait wait = test_patience();
        Error err = {};
        server_reset(&server, NULL);
        server_script(&server, "200 OK", "", reply);
        CHECK_OK(ec2_find_instances_by_name(client, "blue", "vpc-1", names, 3, &wait, found, &err),
                 err);
        CHECK_STR(asked(), "Action=DescribeInstances&Version=2016-11-15"
                           "&Filter.1.Name=tag%3AKubernetesCluster&Filter.1.Value.1=blue"
                           "&Filter.2.Name=vpc-id&Filter.2.Value.1=vpc-1"
                           "&Filter.3.Name=network-interface.private-dns-name"
                           "&Filter.3.Value.1=ip-1.%2A"
                           "&Filter.3.Value.2=ip-2.%2A"
                           "&Filter.3.Value.3=ip-3.%2A");
        CHECK_STR(found[0].instance_id, "i-1"); /* the one that runs, not the last */
        CHECK_STR(found[0].state, "running");
        CHECK_STR(found[0].role, "node");
        CHECK_STR(found[1].state, "stopped");
        CHECK_STR(found[1].role, "");
        CHECK_STR(found[2].instance_id, "");
}

/* Only the primary interface's name is an instance's: device 0 of card 0. Case does not count;
 * another domain does, and is told. */
static void test_instance_names(void)
{
        static const struct {
                const char *interfaces;
                bool found, other_domain;
        } cases[] = {
                { INTERFACE_ITEM("0", "0", "ip-1.ec2.internal"), true, false },
                { INTERFACE_ITEM("0", "0", "ip-1.Ec2.INTERNAL"), true, false },
                { "<item><privateDnsName>ip-1.ec2.internal</privateDnsName><attachment>"
                  "<deviceIndex>0</deviceIndex></attachment></item>",
                  true, false },
                { INTERFACE_ITEM("1", "0", "ip-9.ec2.internal")
                          INTERFACE_ITEM("0", "0", "ip-1.ec2.internal"),
                  true, false },
                { INTERFACE_ITEM("0", "0", "ip-1.corp.example"), true, true },
                { INTERFACE_ITEM("0", "0", "ip-1"), true, true },
                { INTERFACE_ITEM("0", "0", "ip-11.ec2.internal"), false, false },
                { INTERFACE_ITEM("0", "0", ""), false, false },
                { INTERFACE_ITEM("0", "1", "ip-1.ec2.internal"), false, false },
                { INTERFACE_ITEM("1", "0", "ip-1.ec2.internal"), false, false },
                { "", false, false },
        };
        static const char *const names[] = { "ip-1.ec2.internal" };
        Wait wait = test_patience();
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                Ec2Instance found = {};
                Error err = {};
                _cleanup_free_ char *reply = string_format(
                        "<Response><reservationSet><item><instancesSet><item><instanceId>i-1"
                        "</instanceId><instanceState><name>running</name></instanceState>"
                        "<privateDnsName>ip-1.ec2.internal</privateDnsName><networkInterfaceSet>%s"
                        "</networkInterfaceSet></item></instancesSet></item></reservationSet>"
                        "</Response>",
                        c->interfaces);
                server_reset(&server, NULL);
                server_script(&server, "200 OK", "", reply);
                CHECK_OK(ec2_find_instances_by_name(client, "blue", "vpc-1", names, 1, &wait,
                                                    &found, &err),
                         err);
                if (*found.instance_id != (c->found ? 'i' : '\0') ||
                    found.other_domain != c->other_domain) {
                        test_fail(__FILE__, __LINE__, "%s: \"%s\", %d", c->interfaces,
                                  found.instance_id, found.other_domain);
                }
        }
}

/* The whole name wins, whatever comes first. */
static void test_instance_with_a_namesake(void)
{
        static const char *const names[] = { "ip-1.ec2.internal" };
        static const char reply[] = "<Response><reservationSet>" RESERVATION(
                INSTANCE_ITEM("i-9", "running", "ip-1.corp.example", "")
                        INSTANCE_ITEM("i-1", "stopped", "ip-1.ec2.internal", "")
                                INSTANCE_ITEM("i-8", "running", "ip-1.corp.example",
                                              "")) "</reservationSet></Response>";
        Ec2Instance found = {};
        Wait wait = test_patience();
        Error err = {};
        server_reset(&server, NULL);
        server_script(&server, "200 OK", "", reply);
        CHECK_OK(ec2_find_instances_by_name(client, "blue", "vpc-1", names, 1, &wait, &found, &err),
                 err);
        CHECK_STR(found.instance_id, "i-1");
        CHECK(!found.other_domain);
}

/* A reply that is not the whole answer must not pass for "there is no such instance". */
static void test_named_instances_refused(void)
{
        static const char *const replies[] = {
                "<Response/>",
                "<Response><reservationSet/><nextToken>more</nextToken></Response>",
                "<Response><reservationSet>" RESERVATION(
                        INSTANCE_ITEM("", "running", "ip-1", "")) "</reservationSet></Response>",
                "<Response><reservationSet>" RESERVATION(
                        INSTANCE_ITEM("i-1", "", "ip-1", "")) "</reservationSet></Response>",
        };
        const char *names[EC2_NAMES_MAX + 1] = { "ip-1" };
        Ec2Instance found[EC2_NAMES_MAX + 1] = { { "kept" } };
        Wait wait = test_patience();
        FOREACH_ARRAY(reply, replies, ELEMENTS(replies)) {
                Error err = {};
                server_reset(&server, NULL);
                server_script(&server, "200 OK", "", *reply);
                CHECK(ec2_find_instances_by_name(client, "blue", "vpc-1", names, 1, &wait, found,
                                                 &err) < 0);
                CHECK_INT(err.class, ERROR_RETRY);
                CHECK_STR(found[0].instance_id, "kept");
        }
        Error err = {};
        CHECK_INT(ec2_find_instances_by_name(client, "blue", "vpc-1", names, 0, &wait, found, &err),
                  -EINVAL);
        CHECK_INT(ec2_find_instances_by_name(client, "blue", "vpc-1", names, EC2_NAMES_MAX + 1,
                                             &wait, found, &err),
                  -EINVAL);
}

static void test_interfaces(void)
{
        static Ec2Interface interfaces[EC2_INTERFACES_MAX];
        const char *ids[EC2_INTERFACES_MAX + 1] = { "eni-0123456789abcdef1", INTERFACE };
        Wait wait = test_patience();
        Error err = {};
        answer("describe-network-interfaces");
        CHECK_OK(ec2_describe_interfaces(client, ids, 2, &wait, interfaces, &err), err);
        CHECK_STR(asked(), "Action=DescribeNetworkInterfaces&Version=2016-11-15"
                           "&NetworkInterfaceId.1=eni-0123456789abcdef1"
                           "&NetworkInterfaceId.2=" INTERFACE);
        CHECK_STR(interfaces[0].eni_id, ids[0]); /* in the order that was asked */
        CHECK(!interfaces[0].source_dest_check);
        CHECK_STR(interfaces[0].instance_id, "");
        CHECK_STR(interfaces[0].private_dns_name, "");
        CHECK_INT(interfaces[0].n_addresses, 1);
        CHECK_STR(interfaces[1].subnet_id, "subnet-0123456789abcdef0");
        CHECK_STR(interfaces[1].vpc_id, "vpc-0123456789abcdef0");
        CHECK_STR(interfaces[1].private_dns_name, "ip-172-20-128-10.ec2.internal");
        CHECK_STR(interfaces[1].mac, "0a:1b:2c:3d:4e:5f");
        CHECK(interfaces[1].source_dest_check);
        CHECK_STR(interfaces[1].instance_id, INSTANCE);
        CHECK_STR(interfaces[1].primary_ip, "172.20.128.10");
        REQUIRE(interfaces[1].n_addresses == 2);
        CHECK_STR(interfaces[1].addresses[1], "172.20.128.9");

        ids[1] = "eni-0";
        CHECK_INT(ec2_describe_interfaces(client, ids, 2, &wait, interfaces, &err), -ENOENT);
        CHECK_CONTAINS(err.message, "does not hold interface eni-0");
        CHECK_INT(ec2_describe_interfaces(client, ids, EC2_INTERFACES_MAX + 1, &wait, interfaces,
                                          &err),
                  -EINVAL);
        CHECK_INT(ec2_describe_interfaces(client, ids, 0, &wait, interfaces, &err), -EINVAL);
}

/* EFA-only interfaces have neither addresses nor a check that could be switched off. */
static void test_interfaces_without_a_check(void)
{
        static const struct {
                const char *item;
                bool check;
        } cases[] = {
                { "<sourceDestCheck>true</sourceDestCheck>", true },
                { "<interfaceType>efa</interfaceType><sourceDestCheck>true</sourceDestCheck>",
                  true },
                { "<interfaceType>efa-only</interfaceType><sourceDestCheck>true</sourceDestCheck>",
                  false },
                { "<interfaceType>efa-only</interfaceType>", false },
                { "", false },
        };
        static const char *const id = "eni-1";
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                Ec2Interface interface = {};
                Error err = {};
                _cleanup_free_ char *reply = string_format(
                        "<Response><networkInterfaceSet><item><networkInterfaceId>eni-1"
                        "</networkInterfaceId><subnetId>subnet-1</subnetId>%s</item>"
                        "</networkInterfaceSet></Response>",
                        c->item);
                _cleanup_xml_ XmlNode *root = parse(reply);
                CHECK_OK(ec2_parse_interfaces(root, &id, 1, &interface, &err), err);
                CHECK_INT(interface.source_dest_check, c->check);
        }
}

static void test_find_interface(void)
{
        static Ec2Interface interface;
        Wait wait = test_patience();
        Error err = {};
        answer("describe-network-interfaces");
        CHECK_INT(ec2_find_interface_by_address(client, "subnet-1", "172.20.128.9", &wait,
                                                &interface, &err),
                  1);
        CHECK_STR(interface.eni_id, INTERFACE);
        CHECK_STR(asked(), "Action=DescribeNetworkInterfaces&Version=2016-11-15"
                           "&Filter.1.Name=subnet-id&Filter.1.Value.1=subnet-1"
                           "&Filter.2.Name=addresses.private-ip-address"
                           "&Filter.2.Value.1=172.20.128.9");
        server_reset(&server, NULL);
        server_script(&server, "200 OK", "", "<Response><networkInterfaceSet/></Response>");
        CHECK_INT(ec2_find_interface_by_address(client, "subnet-1", "172.20.128.9", &wait,
                                                &interface, &err),
                  0);
        server_reset(&server, NULL); /* some other reply is not "nobody has it" */
        server_script(&server, "200 OK", "", "<Response/>");
        CHECK(ec2_find_interface_by_address(client, "subnet-1", "172.20.128.9", &wait, &interface,
                                            &err) < 0);
}

static void test_address(void)
{
        Ec2Address address = {};
        Wait wait = test_patience();
        Error err = {};
        answer("describe-addresses");
        CHECK_OK(ec2_describe_address(client, ALLOCATION, &wait, &address, &err), err);
        CHECK_STR(asked(),
                  "Action=DescribeAddresses&Version=2016-11-15&AllocationId.1=" ALLOCATION);
        CHECK_STR(address.public_ip, "203.0.113.10");
        CHECK_STR(address.association_id, "eipassoc-0123456789abcdef0");
        CHECK_STR(address.instance_id, INSTANCE);
        CHECK_STR(address.eni_id, INTERFACE);
        CHECK_STR(address.private_ip, "172.20.128.10");
        CHECK_OK(ec2_describe_address(client, "eipalloc-0123456789abcdef1", &wait, &address, &err),
                 err);
        CHECK_STR(address.association_id, "");
        CHECK_STR(address.private_ip, "");
}

static int attach(const Wait *wait, Error *err)
{
        return ec2_attach_volume(client, VOLUME, INSTANCE, "/dev/sdf", wait, err);
}

static int detach(const Wait *wait, Error *err)
{
        return ec2_detach_volume(client, VOLUME, INSTANCE, true, wait, err);
}

static int source_dest_check(const Wait *wait, Error *err)
{
        return ec2_set_source_dest_check(client, INTERFACE, false, wait, err);
}

static int assign(const Wait *wait, Error *err)
{
        return ec2_assign_private_address(client, INTERFACE, "172.20.128.9", wait, err);
}

static int associate(const Wait *wait, Error *err)
{
        return ec2_associate_address(client, ALLOCATION, INTERFACE, "172.20.128.10", wait, err);
}

/* Each change: what is asked, and what its replies mean. */
static void test_changes(void)
{
        static const struct {
                int (*change)(const Wait *wait, Error *err);
                const char *asked, *action;
        } cases[] = {
                { attach, "&VolumeId=" VOLUME "&InstanceId=" INSTANCE "&Device=%2Fdev%2Fsdf",
                  "AttachVolume" },
                { detach, "&VolumeId=" VOLUME "&InstanceId=" INSTANCE "&Force=true",
                  "DetachVolume" },
                { source_dest_check,
                  "&NetworkInterfaceId=" INTERFACE "&SourceDestCheck.Value=false",
                  "ModifyNetworkInterfaceAttribute" },
                { assign,
                  "&NetworkInterfaceId=" INTERFACE "&PrivateIpAddress.1=172.20.128.9"
                  "&AllowReassignment=true",
                  "AssignPrivateIpAddresses" },
                { associate,
                  "&AllocationId=" ALLOCATION "&NetworkInterfaceId=" INTERFACE
                  "&PrivateIpAddress=172.20.128.10&AllowReassociation=true",
                  "AssociateAddress" },
        };
        Wait wait = test_patience();
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                Error err = {};
                char expected[512];
                (void) snprintf(expected, sizeof(expected), "Action=%s&Version=2016-11-15%s",
                                c->action, c->asked);
                server_reset(&server, NULL);
                server_script(&server, "200 OK", "", OK);
                CHECK_OK(c->change(&wait, &err), err);
                CHECK_STR(asked(), expected);

                server_reset(&server, NULL);
                server_script(&server, "200 OK", "", "<Response><return>false</return></Response>");
                CHECK(c->change(&wait, &err) < 0);
                CHECK_INT(err.class, ERROR_RETRY);
                CHECK_CONTAINS(err.message, c->action);

                server_reset(&server, NULL);
                server_script(&server, "200 OK", "", "<html>");
                CHECK(c->change(&wait, &err) < 0);
                CHECK_INT(err.class, ERROR_RETRY);
                CHECK_CONTAINS(err.message, c->action);
        }
}

/* Replies that leave out what must be there, or say more than fits: errors, and nothing copied. */
static void test_bad_replies(void)
{
        static const struct {
                const char *text;
                const char *message;
        } volumes[] = {
                { "<Response/>", "does not hold volume" },
                { "<Response><volumeSet><item><volumeId>v</volumeId></item></volumeSet></Response>",
                  "no status" },
                { "<Response><volumeSet><item><volumeId>v</"
                  "volumeId><status>a-state-that-is-far-too-long"
                  "</status></item></volumeSet></Response>",
                  "status is longer than 23" },
                { "<Response><volumeSet><item><volumeId>v</volumeId><status>available</status>"
                  "<availabilityZone>z</availabilityZone><size>-1</size></item></volumeSet></"
                  "Response>",
                  "size is no number" },
                { "<Response><volumeSet><item><volumeId>v</volumeId><status>available</status>"
                  "<availabilityZone>z</availabilityZone><size>1</size><multiAttachEnabled>maybe"
                  "</multiAttachEnabled></item></volumeSet></Response>",
                  "multiAttachEnabled is \"maybe\"" },
                { "<Response><volumeSet><item><volumeId>v</volumeId><status>available</status>"
                  "<availabilityZone>z</availabilityZone><size>1</size><encrypted>yes</encrypted>"
                  "</item></volumeSet></Response>",
                  "encrypted is \"yes\"" },
                { "<Response><volumeSet><item><volumeId>v</volumeId><status>in-use</status>"
                  "<availabilityZone>z</availabilityZone><size>1</size><attachmentSet><item/>"
                  "</attachmentSet></item></volumeSet></Response>",
                  "no instanceId" },
        };
        FOREACH_ARRAY(c, volumes, ELEMENTS(volumes)) {
                _cleanup_xml_ XmlNode *root = parse(c->text);
                Ec2Volume volume = { .size_gib = 7 };
                Error err = {};
                CHECK(ec2_parse_volume(root, "v", &volume, &err) < 0);
                CHECK_INT(err.class, ERROR_RETRY);
                CHECK_CONTAINS(err.message, c->message);
                CHECK_INT(volume.size_gib, 7);
        }
        static Ec2Interface interface;
        const char *id = "e";
        Error err = {};
        _cleanup_xml_ XmlNode *bare = parse(
                "<Response><networkInterfaceSet><item><networkInterfaceId>e</networkInterfaceId>"
                "<subnetId>s</subnetId><privateIpAddress>10.0.0.1</privateIpAddress></item>"
                "</networkInterfaceSet></Response>");
        CHECK(ec2_parse_interfaces(bare, &id, 1, &interface, &err) < 0);
        CHECK_CONTAINS(err.message, "no sourceDestCheck"); /* absent is neither on nor off */
}

static void test_many_addresses(void)
{
        static Ec2Interface interface;
        const char *id = "e";
        for (unsigned n = EC2_ADDRESSES_MAX; n <= EC2_ADDRESSES_MAX + 1; n++) {
                _cleanup_buffer_ Buffer text = {};
                int r = buffer_append_string(
                        &text, "<Response><networkInterfaceSet><item><networkInterfaceId>e"
                               "</networkInterfaceId><subnetId>s</subnetId><sourceDestCheck>true"
                               "</sourceDestCheck><privateIpAddressesSet>");
                for (unsigned i = 0; i < n; i++) {
                        r = r < 0 ? r
                                  : buffer_append_format(&text,
                                                         "<item><privateIpAddress>10.0.0.%u"
                                                         "</privateIpAddress></item>",
                                                         i);
                }
                r = r < 0 ? r
                          : buffer_append_string(&text, "</privateIpAddressesSet></item>"
                                                        "</networkInterfaceSet></Response>");
                CHECK_INT(r, 0);
                _cleanup_xml_ XmlNode *root = parse(text.data);
                CHECK_INT(ec2_parse_interfaces(root, &id, 1, &interface, ERROR_IGNORED) < 0,
                          n > EC2_ADDRESSES_MAX);
        }
        CHECK_STR(interface.addresses[EC2_ADDRESSES_MAX - 1], "10.0.0.63");
}

int main(void)
{
        char url[64];
        Credentials *credentials = NULL;
        Error err = {};
        server_start(&server);
        (void) snprintf(url, sizeof(url), "http://127.0.0.1:%d", server.port);
        if (setenv("AWS_ENDPOINT_URL_EC2", url, 1) != 0 || http_init(&err) < 0 ||
            credentials_new_static("AKID", "secret", NULL, &credentials, &err) < 0 ||
            aws_client_new(credentials, "us-east-1", NULL, &client, &err) < 0) {
                abort();
        }
        test_case("a volume and its attachment", test_volume);
        test_case("an instance's state, or that there is none", test_instance);
        test_case("instances by their names", test_named_instances);
        test_case("an instance's name is its primary interface's", test_instance_names);
        test_case("the whole name counts before the host", test_instance_with_a_namesake);
        test_case("half an answer is none", test_named_instances_refused);
        test_case("interfaces", test_interfaces);
        test_case("interfaces without a source/destination check", test_interfaces_without_a_check);
        test_case("the interface that has an address", test_find_interface);
        test_case("an Elastic IP", test_address);
        test_case("changes", test_changes);
        test_case("replies that cannot be right", test_bad_replies);
        test_case("as many addresses as there is room for", test_many_addresses);
        server_reset(&server, NULL);
        aws_client_free(client);
        credentials_free(credentials);
        http_done();
        return test_done();
}
