/* SPDX-License-Identifier: MIT */
/*
 * Network back end "user": libslirp gives the guest a network of its own, with router, DHCP, DNS
 * and TFTP servers, and carries its TCP, UDP and ICMP over the host's sockets without privileges.
 *
 * All calls into slirp are under the machine lock.
 */
#include "backends/net/user.h"

#include <arpa/inet.h>
#include <string.h>

#include "backends/lock.h"
#include "base/error.h"
#include "base/log.h"

enum { USER_AUTO, USER_ON, USER_OFF };

typedef struct {
    Timer timer;
    SlirpTimerCb expire;
    void *opaque;
} UserTimer;

static ssize_t user_send_packet(const void *frame, size_t size, void *opaque)
{
    netdev_receive(&((UserNetdev *)opaque)->netdev, frame, size);
    return size;
}

static void user_guest_error(const char *message, void *opaque)
{
    log_guest_error(((UserNetdev *)opaque)->netdev.id, "%s", message);
}

static int64_t user_clock_ns(void *opaque)
{
    return clock_now_ns(((UserNetdev *)opaque)->netdev.machine);
}

static void user_timer_expire(void *opaque)
{
    UserTimer *t = opaque;

    t->expire(t->opaque);
}

static void *user_timer_new(SlirpTimerCb expire, void *expire_opaque, void *opaque)
{
    UserTimer *t = g_new0(UserTimer, 1);

    t->expire = expire;
    t->opaque = expire_opaque;
    timer_init(&t->timer, ((UserNetdev *)opaque)->netdev.machine, user_timer_expire, t);
    return t;
}

static void user_timer_free(void *timer, void *opaque)
{
    timer_cancel(&((UserTimer *)timer)->timer);
    g_free(timer);
}

static void user_timer_mod(void *timer, int64_t expire_ms, void *opaque)
{
    timer_arm(&((UserTimer *)timer)->timer, expire_ms * 1000000);
}

static void user_poll_fd_changed(int fd, void *opaque)
{
}

static void user_notify(void *opaque)
{
    g_main_context_wakeup(NULL);
}

static const SlirpCb user_callbacks = {
    .send_packet = user_send_packet,
    .guest_error = user_guest_error,
    .clock_get_ns = user_clock_ns,
    .timer_new = user_timer_new,
    .timer_free = user_timer_free,
    .timer_mod = user_timer_mod,
    .register_poll_fd = user_poll_fd_changed,
    .unregister_poll_fd = user_poll_fd_changed,
    .notify = user_notify,
};

static bool user_invalid(UserNetdev *user, const char *name, const char *value, const char *why,
                         GError **error)
{
    return error_fail(error, KASO_ERROR_INVALID, "netdev '%s': %s=%s %s", user->netdev.id, name,
                      value, why);
}

/* "ADDRESS", "ADDRESS/BITS" or "ADDRESS/MASK"; without a mask that of the address's class. */
static bool user_parse_network(UserNetdev *user, SlirpConfig *config, GError **error)
{
    const char *text = user->net ? user->net : "10.0.2.0/24", *slash = strchr(text, '/');
    char *address = slash ? g_strndup(text, slash - text) : g_strdup(text), *end;
    bool ok = inet_aton(address, &config->vnetwork);
    uint32_t network = ntohl(config->vnetwork.s_addr), mask;

    g_free(address);
    mask = !(network & 0x80000000)                ? 0xff000000
           : (network & 0xc0000000) == 0x80000000 ? 0xffff0000
                                                  : 0xffffff00;
    if (slash) {
        struct in_addr parsed;
        guint64 bits = g_ascii_strtoull(slash + 1, &end, 10);

        if (end != slash + 1 && !*end && bits >= 4 && bits <= 30) {
            mask = UINT32_MAX << (32 - bits);
        } else if (strchr(slash, '.') && inet_aton(slash + 1, &parsed)) {
            mask = ntohl(parsed.s_addr);
        } else {
            ok = false;
        }
    }
    config->vnetmask.s_addr = htonl(mask);
    config->vnetwork.s_addr = htonl(network & mask);
    return ok || user_invalid(user, "net", text,
                              "is not ADDRESS, ADDRESS/BITS (4 to 30) or ADDRESS/MASK", error);
}

/* An address in the network; `offset` from its start when there is no text. */
static bool user_parse_host(UserNetdev *user, const SlirpConfig *config, const char *name,
                            const char *text, uint32_t offset, struct in_addr *address,
                            GError **error)
{
    address->s_addr = htonl(ntohl(config->vnetwork.s_addr) | offset);
    if (!text) {
        return true;
    }
    if (!inet_aton(text, address)) {
        return user_invalid(user, name, text, "is not an IPv4 address", error);
    }
    if ((address->s_addr & config->vnetmask.s_addr) != config->vnetwork.s_addr) {
        return user_invalid(user, name, text, "is outside the guest's network (net=)", error);
    }
    return true;
}

static bool user_configure_ipv4(UserNetdev *user, SlirpConfig *config, GError **error)
{
    if (!user_parse_network(user, config, error) ||
        !user_parse_host(user, config, "host", user->host, 2, &config->vhost, error) ||
        !user_parse_host(user, config, "dhcpstart", user->dhcpstart, 15, &config->vdhcp_start,
                         error) ||
        !user_parse_host(user, config, "dns", user->dns, 3, &config->vnameserver, error)) {
        return false;
    }
    if (config->vhost.s_addr == config->vnameserver.s_addr) {
        return user_invalid(user, "dns", inet_ntoa(config->vnameserver),
                            "must differ from the router (host=)", error);
    }
    if (config->vhost.s_addr == config->vdhcp_start.s_addr) {
        return user_invalid(user, "dhcpstart", inet_ntoa(config->vdhcp_start),
                            "must differ from the router (host=)", error);
    }
    user->network = config->vnetwork;
    user->netmask = config->vnetmask;
    return true;
}

static bool user_parse_ipv6(UserNetdev *user, const char *name, const char *text,
                            struct in6_addr *address, GError **error)
{
    return inet_pton(AF_INET6, text, address) == 1 ||
           user_invalid(user, name, text, "is not an IPv6 address", error);
}

/* The address `last` in the prefix when there is no text. */
static bool user_parse_ipv6_host(UserNetdev *user, const SlirpConfig *config, const char *name,
                                 const char *text, uint8_t last, struct in6_addr *address,
                                 GError **error)
{
    if (text) {
        return user_parse_ipv6(user, name, text, address, error);
    }
    *address = config->vprefix_addr6;
    address->s6_addr[15] |= last;
    return true;
}

static bool user_configure_ipv6(UserNetdev *user, SlirpConfig *config, GError **error)
{
    const char *prefix = user->ipv6_prefix ? user->ipv6_prefix : "fec0::";
    char *net = g_strdup(user->ipv6_net ? user->ipv6_net : prefix), *slash = strchr(net, '/');
    guint64 bits = user->ipv6_prefixlen ? user->ipv6_prefixlen : 64;
    bool ok;

    if (slash) {
        char *end;

        *slash = '\0';
        bits = g_ascii_strtoull(slash + 1, &end, 10);
        bits = *end ? 0 : bits;
    }
    config->vprefix_len = bits;
    ok = user_parse_ipv6(user, "ipv6-net", net, &config->vprefix_addr6, error);
    g_free(net);
    if (ok && (bits < 1 || bits > 126)) {
        ok = error_fail(error, KASO_ERROR_INVALID,
                        "netdev '%s': the length of the IPv6 prefix must be 1 to 126, not "
                        "%" G_GUINT64_FORMAT,
                        user->netdev.id, bits);
    }
    return ok &&
           user_parse_ipv6_host(user, config, "ipv6-host", user->ipv6_host, 2, &config->vhost6,
                                error) &&
           user_parse_ipv6_host(user, config, "ipv6-dns", user->ipv6_dns, 3, &config->vnameserver6,
                                error);
}

static bool user_check(UserNetdev *user, GError **error)
{
    if (user->ipv4 == USER_OFF && (user->net || user->host || user->dhcpstart || user->dns)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "netdev '%s': IPv4 addresses are given, but ipv4=off", user->netdev.id);
    }
    if (user->ipv4 == USER_OFF && user->ipv6 == USER_OFF) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "netdev '%s': ipv4 and ipv6 cannot both be off", user->netdev.id);
    }
    if (user->tftp && !g_file_test(user->tftp, G_FILE_TEST_IS_DIR)) {
        return user_invalid(user, "tftp", user->tftp, "is not a folder", error);
    }
    if (user->hostname && strlen(user->hostname) > 255) {
        return user_invalid(user, "hostname", user->hostname, "is longer than 255 characters",
                            error);
    }
    if ((user->bootfile && strlen(user->bootfile) >= 128) ||
        (user->tftp_server_name && strlen(user->tftp_server_name) > 255)) {
        return error_fail(
            error, KASO_ERROR_INVALID,
            "netdev '%s': bootfile or tftp-server-name does not fit a DHCP reply (127 "
            "and 255 characters)",
            user->netdev.id);
    }
    return true;
}

/* Calls add for each of the rules joined by newlines. */
static bool user_each_rule(UserNetdev *user, const char *rules,
                           bool (*add)(UserNetdev *, const char *, GError **), GError **error)
{
    g_auto(GStrv) list = NULL;

    if (!rules) {
        return true;
    }
    if (!*rules) {
        return add(user, rules, error);
    }
    list = g_strsplit(rules, "\n", -1);
    for (char **rule = list; *rule; rule++) {
        if (!add(user, *rule, error)) {
            return false;
        }
    }
    return true;
}

static bool user_add_host_forward(UserNetdev *user, const char *rule, GError **error)
{
    return user_host_forward(user, rule, false, error);
}

static void user_close(Netdev *netdev)
{
    UserNetdev *user = (UserNetdev *)netdev;

    g_source_destroy(user->source);
    g_source_unref(user->source);
    user_guest_forwards_free(user);
    slirp_cleanup(user->slirp);
}

static bool user_open(Netdev *netdev, GError **error)
{
    UserNetdev *user = (UserNetdev *)netdev;
    SlirpConfig config = { .version = 4 };
    char **search;

    if (!user_check(user, error) || !user_configure_ipv4(user, &config, error) ||
        !user_configure_ipv6(user, &config, error)) {
        return false;
    }
    search = user->dnssearch ? g_strsplit(user->dnssearch, "\n", -1) : NULL;
    config.restricted = user->restricted;
    config.in_enabled = user->ipv4 != USER_OFF &&
                        (user->ipv4 == USER_ON || user->ipv6 != USER_ON || user->net || user->host);
    config.in6_enabled = user->ipv6 != USER_OFF && (user->ipv6 == USER_ON || user->ipv4 != USER_ON);
    user->ipv6_enabled = config.in6_enabled;
    config.vhostname = user->hostname;
    config.tftp_server_name = user->tftp_server_name;
    config.tftp_path = user->tftp;
    config.bootfile = user->bootfile;
    config.vdnssearch = (const char **)search;
    config.vdomainname = user->domainname;
    user->slirp = slirp_new(&config, &user_callbacks, user);
    g_strfreev(search);
    if (!user->slirp) {
        return error_fail(error, KASO_ERROR_GENERIC, "netdev '%s': libslirp refuses these options",
                          netdev->id);
    }
    user->guest_forwards = g_ptr_array_new();
    user->source = user_source_new(user);
    if (!user_each_rule(user, user->hostfwd, user_add_host_forward, error) ||
        !user_each_rule(user, user->guestfwd, user_guest_forward, error)) {
        user_close(netdev);
        return false;
    }
    return true;
}

enum { USER_FRAME_MAX = 65536 + 64 };

static void user_transmit(Netdev *netdev, unsigned queue, const struct iovec *iov, unsigned count)
{
    UserNetdev *user = (UserNetdev *)netdev;
    uint8_t frame[USER_FRAME_MAX];
    size_t size = 0;

    if (count == 1 && iov[0].iov_len <= USER_FRAME_MAX) {
        slirp_input(user->slirp, iov[0].iov_base, iov[0].iov_len);
    } else {
        for (unsigned i = 0; i < count; i++) {
            if (iov[i].iov_len > sizeof frame - size) {
                return; /* larger than any frame we could carry */
            }
            memcpy(frame + size, iov[i].iov_base, iov[i].iov_len);
            size += iov[i].iov_len;
        }
        slirp_input(user->slirp, frame, size);
    }
    /* There may be sockets to watch that the main loop's poll does not know. */
    g_main_context_wakeup(NULL);
}

static char *user_describe(Netdev *netdev)
{
    UserNetdev *user = (UserNetdev *)netdev;
    char network[INET_ADDRSTRLEN];

    inet_ntop(AF_INET, &user->network, network, sizeof network);
    return g_strdup_printf("net=%s,restrict=%s", network, user->restricted ? "on" : "off");
}

static char *user_describe_connections(Netdev *netdev)
{
    return slirp_connection_info(((UserNetdev *)netdev)->slirp);
}

static bool user_netdev_host_forward(Netdev *netdev, const char *rule, bool remove, GError **error)
{
    return user_host_forward((UserNetdev *)netdev, rule, remove, error);
}

#define USER_PROPERTY(name, kind, field, ...)                                                      \
    {                                                                                              \
        name, PROPERTY_##kind, offsetof(UserNetdev, field), __VA_ARGS__                            \
    }
static const Property user_properties[] = {
    USER_PROPERTY("ipv4", ON_OFF_AUTO, ipv4, "give the guest IPv4"),
    USER_PROPERTY("ipv6", ON_OFF_AUTO, ipv6, "give the guest IPv6"),
    USER_PROPERTY("restrict", BOOL, restricted, "isolate the guest; only rules reach the host"),
    USER_PROPERTY("net", STRING, net, "the guest's network (10.0.2.0/24)"),
    USER_PROPERTY("host", STRING, host, "the router's address (.2)"),
    USER_PROPERTY("dhcpstart", STRING, dhcpstart, "first address that DHCP gives (.15)"),
    USER_PROPERTY("dns", STRING, dns, "the name server's address (.3)"),
    USER_PROPERTY("hostname", STRING, hostname, "the guest's name, by DHCP"),
    USER_PROPERTY("dnssearch", STRING, dnssearch, "domain to search, by DHCP; may be repeated",
                  .repeats = true),
    USER_PROPERTY("domainname", STRING, domainname, "the guest's domain, by DHCP"),
    USER_PROPERTY("ipv6-net", STRING, ipv6_net, "the guest's IPv6 prefix (fec0::/64)"),
    USER_PROPERTY("ipv6-prefix", STRING, ipv6_prefix, "the same without its length"),
    USER_PROPERTY("ipv6-prefixlen", U32, ipv6_prefixlen, "its length (64)"),
    USER_PROPERTY("ipv6-host", STRING, ipv6_host, "the router's IPv6 address (::2)"),
    USER_PROPERTY("ipv6-dns", STRING, ipv6_dns, "the name server's IPv6 address (::3)"),
    USER_PROPERTY("tftp", STRING, tftp, "folder that the TFTP server offers"),
    USER_PROPERTY("tftp-server-name", STRING, tftp_server_name, "name of another TFTP server"),
    USER_PROPERTY("bootfile", STRING, bootfile, "file to boot, by DHCP"),
    USER_PROPERTY("hostfwd", STRING, hostfwd,
                  "[tcp|udp]:[HOST]:PORT-[GUEST]:PORT, IPv6 addresses in brackets, or "
                  "unix:/PATH-[GUEST]:PORT; may be repeated",
                  .repeats = true),
    USER_PROPERTY("guestfwd", STRING, guestfwd,
                  "[tcp]:SERVER:PORT-CHARDEV or -cmd:COMMAND; may be repeated", .repeats = true),
    { "smb", PROPERTY_NOT_YET, 0, "the SMB server (tftp=FOLDER shares files)" },
    { "smbserver", PROPERTY_NOT_YET, 0, "the SMB server (tftp=FOLDER shares files)" },
    { NULL },
};

static const NetdevType user_type = {
    .name = "user",
    .summary = "Network of its own behind the host's sockets, without privileges",
    .instance_size = sizeof(UserNetdev),
    .properties = user_properties,
    .open = user_open,
    .close = user_close,
    .transmit = user_transmit,
    .describe = user_describe,
    .describe_connections = user_describe_connections,
    .host_forward = user_netdev_host_forward,
};
NETDEV_TYPE(user_type);
