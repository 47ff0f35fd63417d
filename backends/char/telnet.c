/* SPDX-License-Identifier: MIT */
/* The server's side of Telnet; see the header. */
#include "backends/char/telnet.h"

#include <string.h>

enum { /* RFC 854 */
       TELNET_SE = 240,
       TELNET_BREAK = 243,
       TELNET_INTERRUPT = 244,
       TELNET_SB = 250,
       TELNET_WILL = 251,
       TELNET_WONT = 252,
       TELNET_DO = 253,
       TELNET_DONT = 254,
       TELNET_COMMAND = 255,
};

enum { TELNET_BINARY = 0, TELNET_ECHO = 1, TELNET_SUPPRESS_GO_AHEAD = 3 };

void telnet_start(Telnet *telnet, GByteArray *reply)
{
    static const uint8_t opening[] = {
        TELNET_COMMAND, TELNET_WILL, TELNET_ECHO,
        TELNET_COMMAND, TELNET_WILL, TELNET_SUPPRESS_GO_AHEAD,
        TELNET_COMMAND, TELNET_WILL, TELNET_BINARY,
        TELNET_COMMAND, TELNET_DO,   TELNET_BINARY,
    };

    memset(telnet, 0, sizeof *telnet);
    g_byte_array_append(reply, opening, sizeof opening);
}

static bool telnet_is_ours(uint8_t verb, uint8_t option)
{
    return option == TELNET_BINARY ||
           (verb == TELNET_DO && (option == TELNET_ECHO || option == TELNET_SUPPRESS_GO_AHEAD));
}

static void telnet_option(Telnet *telnet, uint8_t option, GByteArray *reply)
{
    uint8_t answer[3] = { TELNET_COMMAND, 0, option };
    uint8_t *seen = &telnet->refused[telnet->verb == TELNET_WILL][option / 8];

    if (option == TELNET_BINARY && (telnet->verb == TELNET_WILL || telnet->verb == TELNET_WONT)) {
        telnet->binary = telnet->verb == TELNET_WILL;
    }
    if ((telnet->verb != TELNET_DO && telnet->verb != TELNET_WILL) ||
        telnet_is_ours(telnet->verb, option) || (*seen & (1 << option % 8))) {
        return;
    }
    *seen |= 1 << option % 8;
    answer[1] = telnet->verb == TELNET_DO ? TELNET_WONT : TELNET_DONT;
    g_byte_array_append(reply, answer, sizeof answer);
}

/* A byte of user data; returns whether the guest gets it. */
static bool telnet_data(Telnet *telnet, uint8_t byte)
{
    bool drop = telnet->after_return && !telnet->binary && (byte == '\0' || byte == '\n');

    telnet->after_return = byte == '\r';
    return !drop;
}

/* The byte after IAC; returns whether *byte is data. */
static bool telnet_command(Telnet *telnet, uint8_t *byte)
{
    telnet->state = TELNET_DATA;
    switch (*byte) {
    case TELNET_COMMAND:
        return telnet_data(telnet, *byte);
    case TELNET_BREAK:
        telnet->got_break = true;
        return false;
    case TELNET_INTERRUPT:
        *byte = 'C' & 0x1f;
        return true;
    case TELNET_SB:
        telnet->state = TELNET_SUB;
        return false;
    case TELNET_WILL:
    case TELNET_WONT:
    case TELNET_DO:
    case TELNET_DONT:
        telnet->verb = *byte;
        telnet->state = TELNET_OPTION;
        return false;
    }
    return false;
}

size_t telnet_filter(Telnet *telnet, uint8_t *data, size_t size, GByteArray *reply)
{
    size_t out = 0;

    for (size_t i = 0; i < size; i++) {
        uint8_t byte = data[i];
        bool keep = false;

        switch (telnet->state) {
        case TELNET_DATA:
            if (byte == TELNET_COMMAND) {
                telnet->state = TELNET_IAC;
            } else {
                keep = telnet_data(telnet, byte);
            }
            break;
        case TELNET_IAC:
            keep = telnet_command(telnet, &byte);
            break;
        case TELNET_OPTION:
            telnet_option(telnet, byte, reply);
            telnet->state = TELNET_DATA;
            break;
        case TELNET_SUB:
            telnet->state = byte == TELNET_COMMAND ? TELNET_SUB_IAC : TELNET_SUB;
            break;
        case TELNET_SUB_IAC:
            telnet->state = byte == TELNET_SE ? TELNET_DATA : TELNET_SUB;
            break;
        }
        if (keep) {
            data[out++] = byte;
        }
    }
    return out;
}

void telnet_quote(const uint8_t *data, size_t size, GByteArray *out)
{
    for (size_t i = 0; i < size; i++) {
        g_byte_array_append(out, &data[i], 1);
        if (data[i] == TELNET_COMMAND) {
            g_byte_array_append(out, &data[i], 1);
        }
    }
}
