# An example for administrators.
exampledir = $(docdir)/examples
dist_example_DATA = etc/barid.conf
