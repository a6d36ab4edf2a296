<?php
// The application's configuration; what it serves is PageController's.

namespace App;

use Symfony\Bundle\FrameworkBundle\FrameworkBundle;
use Symfony\Bundle\FrameworkBundle\Kernel\MicroKernelTrait;
use Symfony\Bundle\TwigBundle\TwigBundle;
use Symfony\Component\DependencyInjection\Loader\Configurator\ContainerConfigurator;
use Symfony\Component\HttpKernel\Kernel as BaseKernel;
use Symfony\Component\Routing\Loader\Configurator\RoutingConfigurator;

final class Kernel extends BaseKernel
{
    use MicroKernelTrait;

    public function registerBundles(): iterable
    {
        return [new FrameworkBundle(), new TwigBundle()];
    }

    public function getProjectDir(): string
    {
        return \dirname(__DIR__);
    }

    private function configureContainer(ContainerConfigurator $container): void
    {
        $container->extension('framework', [
            'secret' => 'not one: nothing here is signed',
            'assets' => true,
            // Turns what preload() collects into the Link header of the response.
            'web_link' => true,
            // Every hop of the chain connects from here. The client does not: see run.sh.
            'trusted_proxies' => '127.0.0.1',
            'trusted_headers' => ['x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-host', 'x-forwarded-port'],
        ]);
        $container->services()
            ->set(PageController::class)
            ->autowire()
            ->tag('controller.service_arguments');
    }

    private function configureRoutes(RoutingConfigurator $routes): void
    {
        $routes->add('page', '/')->controller([PageController::class, 'page']);
        // The same page, whose links linkpush knows beforehand: see linkpush.yaml.
        $routes->add('hinted', '/hinted')->controller([PageController::class, 'page']);
        $routes->add('whoami', '/whoami')->controller([PageController::class, 'whoami']);
    }
}
