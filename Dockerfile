# The package built with colcon on the official image of ROS 2 Jazzy.
#
#   docker build -t hybrid_pose_ros .
#   docker run --rm -it --network host --ipc host hybrid_pose_ros
#   docker run --rm -it --network host --ipc host --privileged -v /dev/bus/usb:/dev/bus/usb \
#     hybrid_pose_ros ros2 launch hybrid_pose_ros pose.launch.py source:=camera
#
# With --ipc host events reach nodes outside of the container through shared memory.

FROM ros:jazzy-ros-base

SHELL ["/bin/bash", "-o", "pipefail", "-c"]
ENV DEBIAN_FRONTEND=noninteractive
WORKDIR /ws

# First what changes seldom: the packages that the manifest names. RViz is left out; a container
# has no screen.
COPY package.xml src/hybrid_pose_ros/
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3-pip \
 && rosdep update --rosdistro "$ROS_DISTRO" \
 && rosdep install -y --from-paths src --ignore-src --dependency-types buildtool \
      --dependency-types build --dependency-types exec \
      --skip-keys "rviz2 python3-torch python3-rosbags-pip" \
 && rm -rf /var/lib/apt/lists/*

# What has no package of Ubuntu, or too old a one; torch without CUDA.
COPY requirements.txt constraints.txt /tmp/
RUN grep -v '^ros-' /tmp/requirements.txt > /tmp/python.txt \
 && grep -v '^ros-' /tmp/constraints.txt > /tmp/limits.txt \
 && python3 -m pip install --no-cache-dir --break-system-packages --ignore-installed \
      -c /tmp/limits.txt -r /tmp/python.txt --extra-index-url https://download.pytorch.org/whl/cpu

COPY . src/hybrid_pose_ros
RUN source "/opt/ros/$ROS_DISTRO/setup.bash" \
 && colcon build --packages-select hybrid_pose_ros --cmake-args -DBUILD_TESTING=OFF

RUN printf '%s\n' '#!/bin/bash' 'source /ws/install/setup.bash' 'exec "$@"' > /entrypoint.sh \
 && chmod +x /entrypoint.sh
ENTRYPOINT ["/entrypoint.sh"]
CMD ["ros2", "launch", "hybrid_pose_ros", "pose.launch.py"]
