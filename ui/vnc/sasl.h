/* SPDX-License-Identifier: MIT */
/*
 * RFB's security type 20: a conversation by SASL (RFC 4422), by Cyrus' library, which reads /etc/sasl2/qemu.conf (SASL_CONF_PATH names
 * another folder). Where nothing else keeps the connection secret, only mechanisms are taken that then encrypt it.
 */
#ifndef UI_VNC_SASL_H
#define UI_VNC_SASL_H

#include "ui/vnc/vnc.h"

/* Whether the library is there and starts. */
bool vnc_sasl_init(GError **error);
/* Begins the conversation, which ends in vnc_handshake_admit or vnc_handshake_refuse. secret: the connection is already. */
void vnc_sasl_begin(VncClient *client, bool secret);
void vnc_sasl_free(VncSasl *sasl);
/* Whom it has proved the client to be; NULL: nobody yet, or without SASL. */
const char *vnc_sasl_user(const VncSasl *sasl);

#endif
