"""The network of the pods: addresses, Services, names and policies, all inside the node's network namespace.

`pods` gives each pod a link and an address, `proxy` sends Service addresses to pods, `policy` drops what no
NetworkPolicy allows, `dns` answers names, `relay` carries connections over the border to the machine's own network,
`egress` lets pods out. `node` puts them together.
"""
