/* SPDX-License-Identifier: MIT */
/*
 * The server's side of Telnet (RFC 854, options by RFC 855; ECHO RFC 857, SUPPRESS-GO-AHEAD RFC
 * 858, BINARY RFC 856): character at a time, eight bits, the guest echoes. Other options are
 * refused.
 */
#ifndef BACKENDS_CHAR_TELNET_H
#define BACKENDS_CHAR_TELNET_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    enum { TELNET_DATA, TELNET_IAC, TELNET_OPTION, TELNET_SUB, TELNET_SUB_IAC } state;
    uint8_t verb; /* WILL … DONT that waits for its option */
    bool binary;  /* the peer sends plain bytes; else a return is CR NUL or CR LF */
    bool after_return;
    bool got_break;         /* set by telnet_filter; the caller clears it */
    uint8_t refused[2][32]; /* bit maps of DO and WILL that were answered: each only once */
} Telnet;

/* Starts over; appends the opening negotiation to reply. */
void telnet_start(Telnet *telnet, GByteArray *reply);
/* Strips the protocol in place, returns the bytes left; appends answers to reply. */
size_t telnet_filter(Telnet *telnet, uint8_t *data, size_t size, GByteArray *reply);
/* Appends data to out with the bytes doubled that would be commands. */
void telnet_quote(const uint8_t *data, size_t size, GByteArray *out);

#endif
