/* price.h - "pmsettings price": what models cost. */
#ifndef PMPROXY_CLI_PRICE_H
#define PMPROXY_CLI_PRICE_H

/* argv[0] is "price"; returns what main is to return. */
int price_main(int argc, char **argv);

#endif
