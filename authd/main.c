#include "authd/authd.h"

int main(int argc, char **argv)
{
    return proc_main(argc, argv, &authd_spec);
}
