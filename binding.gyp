# Tells npm tooling that this is a native package. CMakeLists.txt is the build; this target only starts it.
{
  "targets": [
    {
      "target_name": "ft_native",
      "type": "none",
      "actions": [
        {
          "action_name": "cmake",
          "inputs": ["CMakeLists.txt"],
          "outputs": ["build/Release/ft_native.node"],
          "action": ["node", "scripts/setup.mjs", "--native"]
        }
      ]
    }
  ]
}
