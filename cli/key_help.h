/* key_help.h - what pmkey and its commands say to --help. */
#ifndef PMPROXY_CLI_KEY_HELP_H
#define PMPROXY_CLI_KEY_HELP_H

extern const char key_help[], key_help_create[], key_help_list[],
    key_help_show[], key_help_set[], key_help_disable[], key_help_enable[],
    key_help_rotate[], key_help_delete[], key_help_import[], key_help_export[],
    key_help_password[], key_help_store_key[], key_help_reseal[],
    key_help_lockdown[], key_help_destroy[];

#endif
