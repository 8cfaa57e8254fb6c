# In the place of the build systems that uv.lock does not have.
{
  outputs = { self }: {
    overlays.wheel = final: prev: { setuptools = prev.package "setuptools"; };
  };
}
