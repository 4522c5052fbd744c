# .debs of what is installed: plimsoll, libplimsoll-dev, python3-plimsoll, and where MPI was found plimsoll-mpi. tools/package builds and makes them; `cpack -G DEB` does it for any
# build that is complete.
set(PLIMSOLL_PACKAGE_MAINTAINER "Plimsoll developers <plimsoll@example.org>" CACHE STRING "Who answers for the packages: Name <address>")
set(CPACK_PACKAGE_VENDOR Plimsoll)
set(CPACK_PACKAGE_CONTACT "${PLIMSOLL_PACKAGE_MAINTAINER}")
set(CPACK_PACKAGE_DIRECTORY ${CMAKE_BINARY_DIR}/packages)
set(CPACK_GENERATOR DEB)
set(CPACK_COMPONENTS_ALL plimsoll dev python)
if(TARGET plimsoll_mpi)
  list(APPEND CPACK_COMPONENTS_ALL mpi)
endif()
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_PRE_BUILD_SCRIPTS ${CMAKE_CURRENT_LIST_DIR}/debian_files.cmake)
set(CPACK_PLIMSOLL_PACKAGING ${CMAKE_CURRENT_LIST_DIR}) # for that script

set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(same "(= ${PROJECT_VERSION})")

set(CPACK_DEBIAN_PLIMSOLL_PACKAGE_NAME plimsoll)
set(CPACK_DEBIAN_PLIMSOLL_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PLIMSOLL_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PLIMSOLL_PACKAGE_RECOMMENDS "libcurl4, ca-certificates") # loaded where --online asks for it, and so in no list of libraries
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS_POLICY ">=")
set(CPACK_DEBIAN_PLIMSOLL_PACKAGE_CONTROL_EXTRA ${CMAKE_CURRENT_LIST_DIR}/triggers)
set(CPACK_COMPONENT_PLIMSOLL_DESCRIPTION "memory planner for large language models
Given a model, the devices and how it will be served, says per device, to the
byte, what weights, activations, signal buffers and caches take, what is left,
how long a request and how large a batch may be, and why.

This package has the programs, the shared libraries, the built-in planners and
the catalogue.")

set(CPACK_DEBIAN_DEV_PACKAGE_NAME libplimsoll-dev)
set(CPACK_DEBIAN_DEV_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEV_PACKAGE_DEPENDS "plimsoll ${same}, libexpected-dev")
set(CPACK_DEBIAN_DEV_PACKAGE_RECOMMENDS cmake)
set(CPACK_COMPONENT_DEV_DESCRIPTION "memory planner for large language models (development)
Headers for hosts in C++20 and C and for planner plugins in C++17 and C11, the
CMake package Plimsoll with plimsoll_add_plugin(), files of pkg-config, a
template of a plugin's project and its guide.")

set(CPACK_DEBIAN_PYTHON_PACKAGE_NAME python3-plimsoll)
set(CPACK_DEBIAN_PYTHON_PACKAGE_SECTION python)
set(CPACK_DEBIAN_PYTHON_PACKAGE_ARCHITECTURE all)
set(CPACK_DEBIAN_PYTHON_PACKAGE_DEPENDS "python3 (>= 3.10), plimsoll (>= ${PROJECT_VERSION}), plimsoll (<< ${PROJECT_VERSION_MAJOR}.99)")
set(CPACK_COMPONENT_PYTHON_DESCRIPTION "memory planner for large language models (Python)
Plans, weights, estimates, fits, pages and text from Python 3 as typed values,
through the C interfaces of Plimsoll's shared libraries and the standard
library alone.")

# The one library that needs MPI, so that nobody else does: the runtime loads it where mpirun starts it.
set(CPACK_DEBIAN_MPI_PACKAGE_NAME plimsoll-mpi)
set(CPACK_DEBIAN_MPI_PACKAGE_SECTION science)
set(CPACK_DEBIAN_MPI_PACKAGE_DEPENDS "plimsoll ${same}")
set(CPACK_DEBIAN_MPI_PACKAGE_SHLIBDEPS ON) # libopenmpi3, of the MPI that it was built with
set(CPACK_DEBIAN_MPI_PACKAGE_RECOMMENDS openmpi-bin)
set(CPACK_COMPONENT_MPI_DESCRIPTION "memory planner for large language models (ranks under MPI)
Lets the ranks of a plan be processes that mpirun starts on one machine, as in
mpirun -np 2 plimsoll run MODEL --tp 2. Threads need nothing of it.")
include(CPack)
